"""csv, parquet and ``Dataset.frame``: exported, read back by pandas and compared with the recorded array."""

from __future__ import annotations

import json
from pathlib import Path

import click
import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from one_stage import TAG, commit_one_stage
from pandas.testing import assert_frame_equal

import minian_vc as mvc
from minian_vc.cli.main import cli
from minian_vc.errors import EnvironmentUnfitError, InvalidInputError, NotFoundError
from minian_vc.export import csv_file, memory, parquet, tables
from minian_vc.export.bundle import Bundle
from minian_vc.export.formats import FORMATS

READS_EXACTLY = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
UNITS = ["0", "1", "2", "4", "3", "7", "8", "9", "10", "11"]


@pytest.fixture(scope="module")
def history(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    """One checkpoint, made once: nothing here changes it."""
    return commit_one_stage(stages, tmp_path_factory.mktemp("lab"))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch):
    """Blocks of a few rows, so that a small array has many."""
    monkeypatch.setattr(tables, "BUDGET", 3000)


def recorded(history: mvc.Dataset, name: str) -> xr.DataArray:
    """The array as it was recorded."""
    return history.open(TAG, arrays=[name], return_dict=True)[name]


def long_by_pandas(history: mvc.Dataset, name: str) -> pd.DataFrame:
    return recorded(history, name).rename(name).to_series().reset_index()


def wide_by_numpy(history: mvc.Dataset, name: str) -> pd.DataFrame:
    one = recorded(history, name).transpose("frame", "unit_id")
    table = {"frame": one["frame"].values}
    return pd.DataFrame(table | {str(unit): one.sel(unit_id=unit).values for unit in one["unit_id"].values})


def read_csv(path: Path, **options: object) -> pd.DataFrame:
    older = {} if READS_EXACTLY else {"float_precision": "round_trip"}
    return pd.read_csv(path, encoding="utf-8", **older, **options)


def bundle_of(array: xr.DataArray) -> Bundle:
    """An array as if it had been recorded."""
    identity = {"checkpoint": "blake3:00", "session": None, "animal": None, "tags": []}
    return Bundle(array.to_dataset(), identity)


# -- as a DataFrame ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["C", "A", "f", "C_chk", "max_res", "b"])
def test_frame_is_what_pandas_makes_of_the_array(history: mvc.Dataset, name: str):
    found = history.frame(f"{name}@{TAG}")
    assert_frame_equal(found, long_by_pandas(history, name), check_exact=True)


def test_frame_says_who_it_is(history: mvc.Dataset):
    attributes = history.frame(f"C@{TAG}").attrs
    assert attributes["tag"] == TAG
    assert json.loads(attributes["minian_vc"])["arrays"]["C"]["unit_ids"] == [int(unit) for unit in UNITS]


def test_frame_wide_has_a_column_per_unit(history: mvc.Dataset):
    """In the array's order of units, which is not that of the numbers."""
    found = history.frame(f"C@{TAG}", wide=True, rate=20)
    assert list(found.columns) == ["frame", "time", *UNITS]
    assert found["time"].tolist() == [frame / 20 for frame in range(190)]
    assert_frame_equal(found.drop(columns="time"), wide_by_numpy(history, "C"), check_exact=True)


def test_frame_is_refused_beyond_the_free_memory(history: mvc.Dataset, monkeypatch: pytest.MonkeyPatch):
    """Before anything is read: the estimate is of dims and dtypes."""
    asked = []
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 50_000}))
    monkeypatch.setattr(tables.Long, "whole", lambda _: asked.append(1))
    with pytest.raises(InvalidInputError, match=r"C as a DataFrame takes about 91.2 kB of memory, and 50.0 kB"):
        history.frame(f"C@{TAG}")
    assert not asked
    assert memory.refuse_beyond_memory(50_000, "", "") is None


@pytest.mark.parametrize("spec", [f"@{TAG}", "C@nowhere", f"D@{TAG}"])
def test_frame_takes_one_array(history: mvc.Dataset, spec: str):
    with pytest.raises((InvalidInputError, NotFoundError)):
        history.frame(spec)


# -- CSV --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["C", "A", "f", "max_res"])
def test_csv_reads_back_equal(history: mvc.Dataset, tmp_path: Path, small_blocks: None, name: str):
    """Each value, bit by bit, written in many blocks; the identity lies beside."""
    done = history.export(f"{name}@{TAG}", format="csv", out=tmp_path / "out.csv")
    expected = long_by_pandas(history, name)
    found = read_csv(done.path, dtype={name: str(expected[name].dtype)})
    assert_frame_equal(found, expected, check_exact=True)
    identity = json.loads(done.sidecar.read_text(encoding="utf-8"))
    assert identity["tags"] == [TAG]
    assert identity["arrays"][name]["dims"] == list(expected.columns[:-1])


def test_csv_is_the_same_text_as_pandas_writes(history: mvc.Dataset, tmp_path: Path, small_blocks: None):
    """Cut into blocks or not: no second header, nothing lost between them, line feeds, the same bytes each time."""
    for name in ("one.csv", "two.csv"):
        history.export(f"C@{TAG}", format="csv", out=tmp_path / name)
    text = (tmp_path / "one.csv").read_bytes()
    assert text == long_by_pandas(history, "C").to_csv(index=False, lineterminator="\n").encode()
    assert text == (tmp_path / "two.csv").read_bytes()
    assert b"\r" not in text


def test_csv_wide_reads_back_equal(history: mvc.Dataset, tmp_path: Path, small_blocks: None):
    out = tmp_path / "wide.csv"
    history.export(f"C@{TAG}", format="csv", out=out, wide=True, rate=30)
    found = read_csv(out)
    assert list(found.columns) == ["frame", "time", *UNITS]
    assert found["time"].tolist() == [frame / 30 for frame in range(190)]
    assert_frame_equal(found.drop(columns="time"), wide_by_numpy(history, "C"), check_exact=True)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_csv_numbers_are_the_shortest_that_read_back_equal(tmp_path: Path, dtype: str, wide: bool):
    """For values of every size; NaN is empty."""
    bits = np.dtype(f"uint{8 * np.dtype(dtype).itemsize}")
    values = np.random.default_rng(3).integers(0, np.iinfo(bits).max, 600, bits, endpoint=True).view(dtype)
    values[:4] = 0.1, 1 / 3, np.nan, np.inf
    array = xr.DataArray(values[None], {"unit_id": [5]}, ("unit_id", "frame"), "C")
    csv_file.write(bundle_of(array), tmp_path / "out.csv", wide=wide)
    cells = [line.split(",")[-1] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert cells[:4] == ["0.1", str(values[1]), "", "inf"]
    assert [cell for cell, value in zip(cells, values, strict=True) if not np.isnan(value)] == [
        str(value) for value in values if not np.isnan(value)
    ]
    column = "5" if wide else "C"
    found = read_csv(tmp_path / "out.csv")[column].to_numpy().astype(dtype)
    np.testing.assert_array_equal(found, values)


def test_csv_text_is_utf_8(tmp_path: Path):
    array = xr.DataArray([[1.0], [2.0]], {"unit_id": ["é", "b,c"]}, ("unit_id", "frame"), "C")
    csv_file.write(bundle_of(array), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == 'unit_id,frame,C\né,0,1.0\n"b,c",0,2.0\n'.encode()


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_csv_times_have_one_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str):
    """As values and as labels, midnights and others, one row per block; a missing one is empty."""
    monkeypatch.setattr(tables, "BUDGET", 1)
    hours = pd.date_range("2024-01-01", periods=6, freq="12h").to_numpy().astype(f"M8[{unit}]")
    values = hours.copy()
    values[1] = "NaT"
    array = xr.DataArray(values, {"frame": hours}, ("frame",), "at")
    end = "" if array.dtype == "M8[s]" else ".000000000"
    texts = [f"2024-01-0{day}T{hour}:00:00{end}" for day in (1, 2, 3) for hour in ("00", "12")]
    expected = [f"{text},{'' if i == 1 else text}" for i, text in enumerate(texts)]
    for wide in (False, True):
        csv_file.write(bundle_of(array), tmp_path / "out.csv", wide=wide)
        assert (tmp_path / "out.csv").read_text().splitlines() == ["frame,at", *expected]
        found = read_csv(tmp_path / "out.csv", parse_dates=["at", "frame"])
        np.testing.assert_array_equal(found["at"].to_numpy(), values)
        np.testing.assert_array_equal(found["frame"].to_numpy(), hours)


def test_csv_durations_have_one_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whole days and others, one row per block."""
    monkeypatch.setattr(tables, "BUDGET", 1)
    values = np.array([0, 86_400_000_000_000, 86_400_000_000_001, "NaT"], "m8[ns]")
    csv_file.write(bundle_of(xr.DataArray(values, dims="frame", name="after")), tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines == ["frame,after", "0,P0DT0H0M0S", "1,P1DT0H0M0S", "2,P1DT0H0M0.000000001S", "3,"]
    np.testing.assert_array_equal(pd.to_timedelta(read_csv(tmp_path / "out.csv")["after"]).to_numpy(), values)


# -- across the chunks ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("chunks", [(16, 256), (16, 64), (1, 256)], ids=["one", "by frames", "by unit"])
def test_each_chunk_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, wide: bool, chunks: tuple[int, int]
):
    """Of many blocks each would need it anew; the file that spares it is gone afterwards."""
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(tables, "BUDGET", 24 * 256 if not wide else 17 * 8 * 8)
    reads = []

    def noted(values: np.ndarray) -> np.ndarray:
        if values.size:
            reads.append(values.shape)
        return values

    values = np.random.default_rng(4).standard_normal((16, 256))
    lazy = dask.array.from_array(values, chunks=chunks).map_blocks(noted, dtype="f8", meta=np.empty((0, 0)))
    array = xr.DataArray(lazy, {"unit_id": np.arange(16) * 3}, ("unit_id", "frame"), "C")
    FORMATS[form].write(bundle_of(array), tmp_path / "out", wide=wide)
    assert len(reads) == values.size // (chunks[0] * chunks[1])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    FORMATS[form].write(bundle_of(array.copy(data=values)), tmp_path / "other", wide=wide)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "other").read_bytes()


def test_no_file_is_filled_where_blocks_follow_the_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nor of Python objects, which no file can be a map of, nor of what is in memory."""
    monkeypatch.setattr(tables, "BUDGET", 24 * 256)
    monkeypatch.setattr("minian_vc.export.slicing.fill", lambda *_: pytest.fail("a file was filled"))
    values = np.arange(16.0 * 256).reshape(16, 256)
    for data in (
        dask.array.from_array(values, chunks=(1, 256)),
        dask.array.from_array(values.astype(str).astype(object), chunks=(16, 256)),
        values,
    ):
        csv_file.write(bundle_of(xr.DataArray(data, dims=("unit_id", "frame"), name="C")), tmp_path / "out.csv")
        assert len((tmp_path / "out.csv").read_text().splitlines()) == values.size + 1


# -- Parquet ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["C", "A", "f", "max_res"])
def test_parquet_reads_back_equal(history: mvc.Dataset, tmp_path: Path, small_blocks: None, name: str):
    """pandas reads the very table, dtypes and all, from many row groups; the identity is inside."""
    pq = pytest.importorskip("pyarrow.parquet")
    done = history.export(f"{name}@{TAG}", format="parquet", out=tmp_path / "out.parquet")
    assert_frame_equal(pd.read_parquet(done.path), long_by_pandas(history, name), check_exact=True)
    assert pq.ParquetFile(done.path).num_row_groups > 1
    metadata = pq.read_schema(done.path).metadata
    assert json.loads(metadata[b"minian_vc"])["tags"] == [TAG]
    assert metadata[b"tag"] == TAG.encode()
    assert done.sidecar is None


def test_parquet_wide_is_frame_wide(history: mvc.Dataset, tmp_path: Path, small_blocks: None):
    pytest.importorskip("pyarrow")
    options = {"wide": True, "rate": 20.0}
    for name in ("one", "two"):
        history.export(f"C@{TAG}", format="parquet", out=tmp_path / name, **options)
    assert_frame_equal(pd.read_parquet(tmp_path / "one"), history.frame(f"C@{TAG}", **options), check_exact=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("labels", [["b", "a"], np.array(["b", "a"], object), np.array([3, 1], "int16")])
def test_parquet_keeps_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: object):
    """Text and small integers, one row per block."""
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(tables, "BUDGET", 1)
    array = xr.DataArray(np.arange(6.0).reshape(2, 3), {"unit_id": labels}, ("unit_id", "frame"), "C")
    parquet.write(bundle_of(array), tmp_path / "out.parquet")
    expected = array.to_series().reset_index()
    assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected)


def test_parquet_of_nothing_has_its_columns(tmp_path: Path):
    pytest.importorskip("pyarrow")
    array = xr.DataArray(np.empty((0, 3)), {"unit_id": np.array([], int)}, ("unit_id", "frame"), "C")
    parquet.write(bundle_of(array), tmp_path / "out.parquet")
    assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), array.to_series().reset_index())


def test_parquet_without_pyarrow_names_the_extra(history: mvc.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EnvironmentUnfitError, match="pyarrow") as raised:
        history.export(f"C@{TAG}", format="parquet", out=tmp_path / "out.parquet")
    assert "minian_vc[parquet]" in raised.value.hint
    assert list(tmp_path.glob("out*")) == []


# -- times and refusals -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_times_come_from_a_file(history: mvc.Dataset, tmp_path: Path, form: str):
    """Those of the Miniscope software in milliseconds, or one number per line in seconds."""
    pytest.importorskip("pyarrow")
    stamps = [37 * frame + 5 for frame in range(190)]
    lines = ["Frame Number,Time Stamp (ms),Buffer Index", *(f"{i},{ms},0" for i, ms in enumerate(stamps))]
    (tmp_path / "timeStamps.csv").write_text("\r\n".join(lines) + "\r\n", encoding="utf-8-sig")
    (tmp_path / "seconds.txt").write_text("\n".join(str(ms / 1000) for ms in stamps))
    for name in ("timeStamps.csv", "seconds.txt"):
        out = tmp_path / f"{name}.out"
        history.export(f"C@{TAG}", format=form, out=out, wide=True, timestamps=tmp_path / name)
        found = read_csv(out) if form == "csv" else pd.read_parquet(out)
        assert found["time"].tolist() == [ms / 1000 for ms in stamps]


def test_time_at_a_rate_is_counted_from_frame_zero(tmp_path: Path):
    """Also where the array begins later: frame number / rate."""
    array = xr.DataArray(np.ones((2, 1)), {"frame": [100, 104]}, ("frame", "unit_id"), "C")
    csv_file.write(bundle_of(array), tmp_path / "out.csv", wide=True, rate=20.0)
    assert read_csv(tmp_path / "out.csv")["time"].tolist() == [5.0, 5.2]


REFUSED = {
    "a rate and timestamps": ({"wide": True, "rate": 20.0, "timestamps": "good.txt"}, "one of the two"),
    "a rate in a long table": ({"rate": 20.0}, "Only a wide table"),
    "timestamps in a long table": ({"timestamps": "good.txt"}, "Only a wide table"),
    "no rate": ({"wide": True, "rate": 0.0}, "no rate in Hz"),
    "a rate of NaN": ({"wide": True, "rate": float("nan")}, "no rate in Hz"),
    "too short": ({"wide": True, "timestamps": "short.csv"}, "no time for 1 frames, such as 189"),
    "empty": ({"wide": True, "timestamps": "empty.txt"}, "no time for 190 frames"),
    "no number": ({"wide": True, "timestamps": "words.txt"}, "neither a table"),
    "NaN": ({"wide": True, "timestamps": "nan.txt"}, "do not rise"),
    "other columns": ({"wide": True, "timestamps": "other.csv"}, "neither a table"),
    "bytes": ({"wide": True, "timestamps": "bytes.bin"}, "cannot be read"),
    "no file": ({"wide": True, "timestamps": "none.csv"}, "no file"),
}


@pytest.fixture
def times_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Good and bad files with times, in the current folder."""
    files = {
        "good.txt": "1\n" * 190,
        "short.csv": "Frame Number,Time Stamp (ms)\n" + "".join(f"{i},{i}\n" for i in range(189)),
        "empty.txt": "",
        "words.txt": "1\n2\nthree\n" + "4\n" * 187,
        "nan.txt": "1\n" * 189 + "nan\n",
        "other.csv": "a,b\n" * 190,
    }
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        Path(name).write_text(text)
    Path("bytes.bin").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize("case", REFUSED)
def test_times_that_do_not_fit_are_refused(history: mvc.Dataset, tmp_path: Path, times_files: None, case: str):
    """And nothing is written."""
    options, message = REFUSED[case]
    with pytest.raises((InvalidInputError, NotFoundError), match=message) as raised:
        history.export(f"f@{TAG}", format="csv", out=tmp_path / "out", **options)
    assert "Nothing was written." in raised.value.hint
    assert list(tmp_path.glob("*out*")) == []
    with pytest.raises(type(raised.value), match=message):
        history.frame(f"f@{TAG}", **options)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_wide_of_footprints_is_refused(history: mvc.Dataset, tmp_path: Path, form: str):
    """The message names their dims."""
    pytest.importorskip("pyarrow")
    with pytest.raises(InvalidInputError, match="unit_id, height, width"):
        history.export(f"A@{TAG}", format=form, out=tmp_path / "out", wide=True)
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("form", ["csv", "parquet", "npy"])
def test_a_table_holds_one_array(history: mvc.Dataset, tmp_path: Path, form: str):
    with pytest.raises(InvalidInputError, match="holds one array"):
        history.export(f"A@{TAG}", f"C@{TAG}", format=form, out=tmp_path / "out")


# -- command line -----------------------------------------------------------------------------


def run(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(each) for each in arguments], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.stdout


def test_options_on_the_command_line(history: mvc.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """--wide, --rate and --timestamps do what they do in Python; a path is seen from the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("times.txt").write_text("\n".join(map(str, range(190))))
    run("export", f"C@{TAG}", "long.csv", "--format", "csv", "-d", history.path)
    run("export", f"C@{TAG}", "rate.csv", "--format", "csv", "--wide", "--rate", "20", "-d", history.path)
    run("export", f"C@{TAG}", "times.csv", "--format", "csv", "--wide", "--timestamps", "times.txt", "-d", history.path)
    assert_frame_equal(read_csv(Path("long.csv")), long_by_pandas(history, "C"))
    assert read_csv(Path("rate.csv"))["time"].tolist() == [frame / 20 for frame in range(190)]
    assert read_csv(Path("times.csv"))["time"].tolist() == list(range(190))
    with pytest.raises((click.UsageError, InvalidInputError), match="no option 'wide'"):
        run("export", f"C@{TAG}", "out.nc", "--format", "netcdf", "--wide", "-d", history.path)
