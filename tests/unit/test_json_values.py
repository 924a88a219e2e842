"""Values of any kind become plain JSON: bounded, without secrets, never computed, never an error."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from pathlib import PurePosixPath
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from minian_vc import json_values
from minian_vc.json_values import clean_text, plain
from minian_vc.model import canonical_json
from minian_vc.redaction import names_a_secret, redact


class Colour(enum.IntEnum):
    """An enumeration whose members are numbers."""

    RED = 1


@dataclasses.dataclass
class Window:
    """A parameter class of somebody's own."""

    size: Any
    kind: str = "median"


class Unprintable:
    """An object that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def a_function() -> None:
    """Something to be named."""


KEPT = [
    (None, None),
    (True, True),
    (0.06, 0.06),
    ("median", "median"),
    ((1, [2.5, None]), [1, [2.5, None]]),
    ({"a": {"b": 1}}, {"a": {"b": 1}}),
    ({1: "one", np.int64(2): "two", (3, 4): "pair"}, {"1": "one", "2": "two", "(3, 4)": "pair"}),
    ({1: "number", "1": "text"}, {"1": "number", "'1'": "text"}),
    ({10, 9, 1}, [1, 9, 10]),
    (frozenset({"b", "a", 2}), ["a", "b", 2]),
    (slice(0, np.int64(100)), {"slice": [0, 100, None]}),
    ({"frame": slice(0, None)}, {"frame": {"slice": [0, None, None]}}),
    (range(3), "range(0, 3)"),
    (float("nan"), "nan"),
    (-np.inf, "-inf"),
    (1 + 2j, "(1+2j)"),
    (10**400, "int of 1329 bits"),
    (Colour.RED, "Colour.RED"),
    (Window((3, 3)), {"size": [3, 3], "kind": "median"}),
    (b"bytes", "bytes (5)"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00+00:00"),
    (datetime.timedelta(seconds=90), "0:01:30"),
    (PurePosixPath("/data/m1"), "/data/m1"),
    (a_function, f"{__name__}.a_function"),
    (Window, f"{__name__}.Window"),
    (len, "builtins.len"),
    (lambda: 0, f"{__name__}.<lambda>"),
    (object(), "<object object>"),
    (Unprintable(), f"{__name__} Unprintable"),
    ("\udcff", "\\udcff"),
    # numpy
    (np.uint8, "numpy.uint8"),
    (np.dtype("float32"), "float32"),
    (np.float32(1.5), 1.5),
    (np.bool_(True), True),
    (np.str_("x"), "x"),
    (np.longdouble(2), "2.0"),
    (np.datetime64("2026-01-02T03", "ns"), "2026-01-02T03:00:00.000000000"),
    (np.array(5), 5),
    (np.arange(3), [0, 1, 2]),
    (np.array([1, None], dtype=object), [1, None]),
    (np.array(["2026-01-02"], dtype="M8[ns]"), ["2026-01-02T00:00:00.000000000"]),
    (np.zeros((10, 190)), "ndarray float64 (10, 190)"),
    # pandas
    (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
    (pd.NaT, "NaT"),
    (pd.NA, "<NA>"),
    (pd.Index([3, 1]), [3, 1]),
    (pd.Series([1, 2], index=["a", "b"]), {"a": 1, "b": 2}),
    (pd.DataFrame({"x": [1.5]}), {"x": {"0": 1.5}}),
    (pd.Series(np.zeros(2000)), "pandas Series float64 (2000)"),
    # xarray and dask
    (xr.DataArray(np.float64(2)), 2.0),
    (xr.DataArray(np.arange(2), dims="unit_id"), [0, 1]),
    (xr.DataArray(np.zeros((50, 60)), dims=("unit_id", "frame")), "xarray DataArray float64 (unit_id 50, frame 60)"),
    (da.zeros((3, 4)), "dask Array float64 (3, 4)"),
    (xr.DataArray(da.zeros(3), dims="frame"), "xarray DataArray float64 (frame 3)"),
    (xr.Dataset({"A": ("unit_id", da.zeros(3))}), {"A": "xarray DataArray float64 (unit_id 3)"}),
]


@pytest.mark.parametrize(("value", "kept"), KEPT, ids=[f"{i}-{type(v).__name__}" for i, (v, _) in enumerate(KEPT)])
def test_a_value_is_kept_as_json(value: Any, kept: Any) -> None:
    """Its JSON form, of JSON's own types, and the same when it goes through a document."""
    found = plain(value)
    assert found == kept
    assert type(found) is type(kept)
    assert json.loads(canonical_json(found)) == kept


def test_lazy_data_are_never_computed() -> None:
    """dask arrays, delayed values and DataArrays of them are described; a computation would raise here."""

    def explode(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    lazy = da.zeros((5, 5)).map_blocks(explode, dtype="f8", meta=np.zeros((0, 0)))
    delayed = dask.delayed(explode)(1)
    params = {"Y": lazy, "d": delayed, "X": xr.DataArray(lazy, dims=("h", "w")), "sum": lazy.sum(), "l": [lazy]}
    kept = plain(params)
    assert kept["Y"] == "dask Array float64 (5, 5)"
    assert kept["X"] == "xarray DataArray float64 (h 5, w 5)"
    assert kept["sum"] == "dask Array float64 ()"
    assert kept["l"] == [kept["Y"]]
    assert kept["d"].startswith("Delayed('explode-")


def test_an_array_that_is_not_in_memory_yet_is_not_read() -> None:
    """What xarray opened without dask lies on the disk until somebody asks for values."""

    class OnDisk(xr.backends.BackendArray):
        shape, dtype = (3,), np.dtype("f8")

        def __getitem__(self, key: object) -> np.ndarray:
            raise AssertionError("read")

    variable = xr.Variable("frame", xr.core.indexing.LazilyIndexedArray(OnDisk()))
    assert plain(xr.DataArray(variable)) == "xarray DataArray float64 (frame 3)"


def test_what_holds_itself_ends() -> None:
    """A list or dictionary inside of itself is told by its kind; the same one twice side by side is no such thing."""
    endless: list[Any] = [1]
    endless.append(endless)
    assert plain(endless) == [1, "list that holds itself"]
    shared = [1]
    assert plain([shared, shared]) == [[1], [1]]
    deep: Any = 0
    for _ in range(5000):
        deep = [deep]
    kept = plain({"deep": deep, "p": 1})
    assert kept["p"] == 1
    assert json.dumps(kept["deep"]).strip("[]") == '"list (1), left out: too deep"'


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (list(range(10**6)), "list (1,000,000), left out: too large"),
        ({i: i for i in range(10**5)}, "dict (100,000), left out: too large"),
        ({"huge": ["x" * 1000] * 1000, "p": 1}, {"huge": "list (1,000), left out: too large", "p": 1}),
        ({"note": "x" * 20_000}, {"note": f"{'x' * 10_000}… (20,000 characters)"}),
    ],
    ids=["list", "dict", "beside", "text"],
)
def test_what_is_too_large_becomes_a_short_text(value: Any, kept: Any) -> None:
    """It says how large it was; what lies beside it is kept."""
    assert plain(value) == kept


def test_a_tree_of_too_many_values_ends() -> None:
    """However values are nested, a walk looks at a bounded number of them: 32**8 here would take hours."""
    tree: Any = 1
    for _ in range(8):
        tree = [tree] * 32
    assert len(canonical_json(plain(tree))) <= json_values.MAX_SIZE * 33


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("postgresql://anna:hunter2@db:5432/lab", "postgresql://anna:***@db:5432/lab"),
        ("url='http://u:p@ss:w@h/x' # fine", "url='http://u:***@h/x' # fine"),
        ("https://ghp_abcdefghijklmnopqrst@github.com/x", "https://***@github.com/x"),
        ("https://h/?password=a%20b&p=1#top", "https://h/?password=***&p=1#top"),
        ("https://h/?p=1&access_token=abc&X-Amz-Signature=12", "https://h/?p=1&access_token=***&X-Amz-Signature=***"),
        ("postgresql://anna:hun/ter@db", "postgresql://anna:***@db"),
        ("postgresql://anna:/h@n/t@er@db/lab a@b", "postgresql://anna:***@db/lab a@b"),
        ("git+https://anna:x@github.com/lab/x@main", "git+https://anna:***@github.com/lab/x@main"),
        ("http://[::1]:8888/lab/a@b", "http://[::1]:8888/lab/a@b"),
        ("ssh://git@github.com/x", "ssh://git@github.com/x"),
        ("git@github.com:x/y.git", "git@github.com:x/y.git"),
        ("http://localhost:8888/lab/a@b?sigma=3", "http://localhost:8888/lab/a@b?sigma=3"),
        ("token = 3; A @ B; x: int", "token = 3; A @ B; x: int"),
    ],
)
def test_passwords_and_tokens_in_urls_are_hidden(text: str, kept: str) -> None:
    """Scheme, user, host and the other parts of the query stay, and so does everything that is no URL."""
    assert redact(text) == kept
    assert plain({text: [text]}) == {kept: [kept]}


def test_what_stands_under_the_name_of_a_secret_is_hidden() -> None:
    """A password is hidden at any depth, whatever its type; None, True and False stay."""
    value = {"db": {"password": "x", "API_KEY": "y"}, "token": None, "secret_level": 3, "passing": "z"}
    kept = {"db": {"password": "***", "API_KEY": "***"}, "token": None, "secret_level": 3, "passing": "z"}
    assert plain(value) == kept
    assert plain({"tokens": ["ghp_abc"], "password": 123, "credentials": {"user": "a", "pass": "b"}}) == {
        "tokens": "***",
        "password": "***",
        "credentials": "***",
    }
    assert plain({"token": np.bool_(True), "secret": np.array([1, 2])}) == {"token": True, "secret": "***"}
    assert plain({"smtp": {"user": "a", "pass": "b"}}) == {"smtp": {"user": "a", "pass": "***"}}


SECRETS = """password passwords Password PASSWD db_password db_password_prod dbPassword DBPassword dbpassword pwd
token tokens accessToken access_token github-token authtoken token2 secret client_secret secret_key secretKey
private_key privateKeys ssh_key api_key apiKey APIKey apikey "api key" access_key access_key_id account_key
credentials awsCredentials credentials_file passphrase signature authorization pass db_pass smtpPass"""
ORDINARY = """key keys sort_key sort_keys primary_key keyword monkey passband pass_band low_pass highpass bypass passes
n_pass passing token_size token_sizes tokenLength max_tokens n_tokens tokenizer tokenized secretary secretion_rate
secret_level author compass signatory accession"""
MINIAN = """dpath meta_dict overwrite pattern dtype downsample downsample_strategy method ksize wnd dim upsample
aggregation wnd_size stp_size max_wnd diff_thres noise_freq thres sig thres_dist thres_corr noise_range
dl_wnd sparse_penal size_thres p add_lag jac_thres use_zero use_smooth med_wd subset varr animal session
frame height width chk zs_thres update_background mesh_size dxy percentile max_sh npart alt_error
corr_thres cent weight post_proc return_dict bl_fname"""


@pytest.mark.parametrize("name", SECRETS.replace('"api key"', "api.key").split())
def test_a_telling_word_anywhere_in_a_name_tells_of_a_secret(name: str) -> None:
    """As one of its words, in any case and in the plural."""
    assert plain({name: "x"}) == {name: "***"}
    assert names_a_secret(name)


@pytest.mark.parametrize("name", (ORDINARY + " " + MINIAN).split())
def test_ordinary_names_tell_of_no_secret(name: str) -> None:
    """What only resembles a telling word, the size or number of it, and what MiniAn calls its parameters."""
    assert plain({name: "x"}) == {name: "x"}
    assert not names_a_secret(name)


def test_a_secret_is_not_shown_by_the_cut() -> None:
    """A text that is cut inside a URL is cleaned before."""
    text = "x" * 90 + " http://u:hunter2@h/"
    assert clean_text(text, 105).startswith("x" * 90 + " http://u:***@h")


@pytest.mark.parametrize(
    "text", ["a.a." * 50_000, "?" + "token" * 50_000, "a://" * 50_000, "http://" + "a:" * 50_000, "a://b:c/" * 25_000]
)
def test_cleaning_takes_no_time_that_grows_with_the_square(text: str) -> None:
    """Texts made to be slow end; without the bounds these run for minutes."""
    assert redact(text)
