"""Parameters by dotted path: flattened, compared, found again, and read from what is typed."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from minian_vc.errors import InvalidInputError
from minian_vc.json_values import plain
from minian_vc.param_paths import flatten
from minian_vc.params import MISSING, changed_params, finder
from minian_vc.provenance import ask_from_now_on, gather, together, what_the_source_knows
from minian_vc.text import read_value, shown
from minian_vc.version import __version__

FIRST = {
    "param_first_temporal": {"p": 1, "sparse_penal": 0.5, "zs_thres": None, "noise_freq": "0.06"},
    "param_first_spatial": {"dl_wnd": 10, "subset": {"frame": {"slice": [0, 100, None]}}, "wnds": [1, [2, True]]},
    "intpath": "/data/m1",
    "empty": {},
}


def test_paths_lead_to_single_values() -> None:
    """Levels are joined with dots; lists, slices and empty dictionaries are values."""
    assert flatten(FIRST) == {
        "param_first_temporal.p": 1,
        "param_first_temporal.sparse_penal": 0.5,
        "param_first_temporal.zs_thres": None,
        "param_first_temporal.noise_freq": "0.06",
        "param_first_spatial.dl_wnd": 10,
        "param_first_spatial.subset.frame": {"slice": [0, 100, None]},
        "param_first_spatial.wnds": [1, [2, True]],
        "intpath": "/data/m1",
        "empty": {},
    }
    assert flatten(None) == flatten({}) == flatten([1]) == {}


def test_changed_parameters_have_old_and_new() -> None:
    """What is equal is left out, 1 is 1.0; what one side has not is missing, which None is not."""
    new = copy.deepcopy(FIRST)
    new["param_first_temporal"] |= {"p": 1.0, "sparse_penal": 1, "zs_thres": False, "added": None}
    del new["param_first_spatial"]["dl_wnd"]
    new["param_first_spatial"]["wnds"] = [1, [2, 1]]
    assert changed_params(FIRST, new) == {
        "param_first_spatial.dl_wnd": (10, MISSING),
        "param_first_spatial.wnds": ([1, [2, True]], [1, [2, 1]]),
        "param_first_temporal.added": (MISSING, None),
        "param_first_temporal.sparse_penal": (0.5, 1),
        "param_first_temporal.zs_thres": (None, False),
    }
    assert changed_params(FIRST, FIRST) == changed_params(None, {}) == {}
    assert changed_params(None, {"p": 1}) == {"p": (MISSING, 1)}


def test_missing_is_one_value() -> None:
    """It prints as a dash and stays itself through copies and pickles."""
    assert f"{MISSING} {MISSING!r}" == "— —"
    assert copy.deepcopy(MISSING) is pickle.loads(pickle.dumps(MISSING)) is MISSING  # noqa: S301


@pytest.mark.parametrize(
    "wanted",
    [
        {"p": 1},
        {"p": 1.0},
        {"first_temporal.p": 1},
        {"param_first_temporal.p": 1},
        {"p": 1, "dl_wnd": 10},
        {"param_first_temporal": {"p": 1, "zs_thres": None}},
        {"first_temporal": {"p": 1}},
        {"subset": {"frame": slice(0, 100)}},
        {"frame": {"slice": [0, 100, None]}},
        {"wnds": (1, (2, True))},
        {"zs_thres": None},
        {"zs_thres": ...},
        {"first_temporal": ...},
        {"empty": {}},
        {"noise_freq": "0.06"},
        {},
    ],
    ids=str,
)
def test_parameters_are_found(wanted: dict[str, Any]) -> None:
    """By the whole path or the last part of it, by value, or by being there at all; all must hold."""
    assert finder(wanted)(FIRST)


@pytest.mark.parametrize(
    "wanted",
    [
        {"p": 2},
        {"p": True},
        {"p": "1"},
        {"p": 1, "dl_wnd": 11},
        {"temporal.p": 1},
        {"freq": "0.06"},
        {"noise_freq": 0.06},
        {"first_spatial.p": 1},
        {"param_first_temporal": 1},
        {"param_first_temporal": {"p": 1, "q": 2}},
        {"wnds": [1, [2, 1]]},
        {"wnds": [1]},
        {"q": ...},
        {"temporal": ...},
        {"empty": None},
    ],
    ids=str,
)
def test_other_parameters_are_not_found(wanted: dict[str, Any]) -> None:
    """Another value, another type, half a name, or another level is something else."""
    assert not finder(wanted)(FIRST)


def test_checkpoints_without_parameters_have_none() -> None:
    assert not finder({"p": ...})(None)
    assert finder({"p": ...})({"p": None})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0.06", 0.06),
        ("[1, 2]", [1, 2]),
        ("null", None),
        ("None", None),
        ("True", True),
        ("true", True),
        ("False", False),
        ("median", "median"),
        ('"1"', "1"),
        ("", ""),
        ("a=b", "a=b"),
        ("[" * 100_000, "[" * 100_000),
    ],
    ids=lambda text: str(text)[:10],
)
def test_values_are_read_as_json_or_text(text: str, value: Any) -> None:
    """JSON and Python's None, True and False are read, everything else is text."""
    found = read_value(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (None, "None"),
        (True, "True"),
        ("median", "median"),
        ("1", "'1'"),
        ("None", "'None'"),
        ("", "''"),
        ("two\nlines", "'two\\nlines'"),
        ("\x1b[31m", "'\\x1b[31m'"),
        ([1, None, "x"], "[1, None, 'x']"),
        (plain(slice(0, 100)), "slice(0, 100, None)"),
    ],
    ids=str,
)
def test_values_are_shown_in_one_line(value: Any, text: str) -> None:
    """As Python people write them; a text that could be taken for something else is quoted."""
    assert shown(value) == text


# -- the schema -------------------------------------------------------------------------------


def test_a_commit_by_hand_has_parameters_and_the_version() -> None:
    """What is not given has no key."""
    assert gather() == gather({}) == gather(chk={}) == {"minian_vc": __version__}
    assert gather({"p": 1}) == {"minian_vc": __version__, "params": {"p": 1}}
    assert gather(automatic="restore") == {"minian_vc": __version__, "automatic": "restore"}


def test_what_the_caller_knows_is_kept() -> None:
    """chk by dim, the cell's source without its secrets, and its number."""
    code = {"cell": 'connect("db://anna:hunter2@h")\n' * 2, "number": 12}
    kept = gather(FIRST, chk={"frame": 64, "height": 64}, code=code)
    assert kept["params"] == FIRST
    assert kept["chk"] == {"frame": 64, "height": 64}
    assert kept["code"] == {"cell": 'connect("db://anna:***@h")\n' * 2, "number": 12}
    assert gather(code={"cell": "x", "number": None})["code"] == {"cell": "x", "number": None}
    assert json.loads(json.dumps(kept)) == kept


def test_all_parameters_together_have_a_limit() -> None:
    """The first are kept, and the others are named."""
    many = {f"p{i}": ["x" * 1000] * 50 for i in range(20)}
    kept = gather(many)["params"]
    assert kept.keys() == many.keys()
    assert kept["p0"] == many["p0"]
    assert kept["p19"] == "left out: all parameters together are too large"
    assert len(json.dumps(kept)) < 300_000


def test_parameters_must_be_a_dictionary() -> None:
    with pytest.raises(InvalidInputError, match="list"):
        gather([1])


def test_what_is_given_stands_beside_what_was_found() -> None:
    """In the place of what has the same key; parameters are put together by name."""
    found = {"params": {"param_a": {"p": 1, "q": 2}, "param_b": 3}, "chk": {"frame": 1}, "git": {}}
    given = {"params": {"param_a": {"p": 4}, "note": "x"}, "chk": {"frame": 2}}
    params = {"param_a": {"p": 4}, "param_b": 3, "note": "x"}
    assert together(found, given) == {"params": params, "chk": {"frame": 2}, "git": {}}
    assert together(found, {}) == found
    assert together({}, {}) == {}


def test_a_source_is_asked_until_it_is_taken_away() -> None:
    """One that fails knows nothing."""
    assert what_the_source_knows() == {}
    try:
        ask_from_now_on(lambda: {"chk": {"frame": 1}})
        assert what_the_source_knows() == {"chk": {"frame": 1}}
        ask_from_now_on(lambda: {}["x"])
        assert what_the_source_knows() == {}
    finally:
        ask_from_now_on(None)
