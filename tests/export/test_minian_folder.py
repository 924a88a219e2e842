"""minian: a MiniAn folder; with --neuroconv one that neuroconv reads too."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import tree
from last_stage import LAST, commit_last_stage

import minian_vc as mvc
from minian_vc.errors import InvalidInputError

HAS_MINIAN = importlib.util.find_spec("minian") is not None

pytestmark = pytest.mark.filterwarnings(
    "ignore::minian_vc.arrays.opening.LeftOutWarning",
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::SyntaxWarning",
)


def readers() -> list[Any]:
    """Ours, which is MiniAn's to the letter, and MiniAn's own where it is installed."""
    found = [mvc.open_minian]
    if HAS_MINIAN:
        from minian.utilities import open_minian

        found.append(open_minian)
    return found


@pytest.fixture(scope="module")
def last(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    return commit_last_stage(stages, tmp_path_factory.mktemp("lab"))


def expected(last: mvc.Dataset, arrays: tuple[str, ...]) -> xr.Dataset:
    return last.open(LAST, arrays=list(arrays)).load()


def test_open_minian_opens_equal_values(last: mvc.Dataset, tmp_path: Path):
    """Together and one by one, with all coordinates: nothing padded, nothing lost."""
    done = last.export(f"@{LAST}", format="minian", out=tmp_path / "minian")
    wanted = expected(last, done.arrays)
    for open_minian in readers():
        xr.testing.assert_equal(open_minian(str(tmp_path / "minian")).load(), wanted)
        each = open_minian(str(tmp_path / "minian"), return_dict=True)
        assert set(each) == set(done.arrays)
        for name, array in each.items():
            xr.testing.assert_equal(array.load(), wanted[name])
            assert array.dtype == wanted[name].dtype


@pytest.mark.parametrize("options", [{}, {"neuroconv": True, "rate": 20}], ids=["minian", "neuroconv"])
def test_check_finds_it_aligned(last: mvc.Dataset, tmp_path: Path, options: dict[str, Any]):
    """Also with a group above all arrays, which makes no array of it."""
    last.export(f"@{LAST}", format="minian", out=tmp_path / "minian", **options)
    report = mvc.check(tmp_path / "minian")
    assert (report.grade, [each for each in report.findings if each.severity == "error"]) == ("aligned", [])


def test_it_is_what_save_minian_writes(last: mvc.Dataset, tmp_path: Path):
    """File by file, but for the group's attributes, which hold the identity."""
    done = last.export(f"@{LAST}", format="minian", out=tmp_path / "minian")
    together = last.open(LAST, arrays=list(done.arrays))
    for name in done.arrays:
        mvc.save_minian(together[name].drop_attrs(), tmp_path / "saved")
    ours, theirs = tree(tmp_path / "minian"), tree(tmp_path / "saved")
    assert set(ours) == set(theirs)
    different = {key.split("/", 1)[1] for key in ours if ours[key] != theirs[key]}
    assert different == {".zattrs", ".zmetadata"}


def test_the_identity_is_in_each_array_folder(last: mvc.Dataset, tmp_path: Path):
    """And nothing else is in the folder: MiniAn would take it for an array."""
    last.export(f"A@{LAST}", f"C@{LAST}", format="minian", out=tmp_path / "minian")
    assert sorted(path.name for path in (tmp_path / "minian").iterdir()) == ["A.zarr", "C.zarr"]
    for name in ("A", "C"):
        attributes = json.loads((tmp_path / f"minian/{name}.zarr/.zattrs").read_text())
        identity = json.loads(attributes["minian_vc"])
        assert identity["checkpoint"] == last.find(f"@{LAST}")[0].id
        assert list(identity["arrays"]) == ["A", "C"]
        assert attributes["tag"] == LAST
        assert json.loads(attributes["left_out"]) == {"A": [0]}


def test_exported_twice_it_is_the_same(last: mvc.Dataset, tmp_path: Path):
    """Byte for byte; --force replaces an export and nothing else."""
    for name, force in (("one", False), ("two", False), ("two", True)):
        last.export(f"@{LAST}", format="minian", out=tmp_path / name, force=force, neuroconv=True, rate=20)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    mvc.save_minian(last["f@latest"].rename("mine"), tmp_path / "two")
    with pytest.raises(InvalidInputError, match="is a dataset"):
        last.export(f"@{LAST}", format="minian", out=tmp_path / "two", force=True)


def test_neuroconv_has_units_from_0_and_the_ids_of_the_checkpoint(last: mvc.Dataset, tmp_path: Path):
    """One numbering over all arrays; the coordinate original_unit_id leads back. MiniAn opens it all the same."""
    done = last.export(f"@{LAST}", format="minian", out=tmp_path / "nc", neuroconv=True, rate=20)
    wanted = expected(last, done.arrays)
    assert list(wanted["unit_id"].values) == [1, 2, 3, 4, 5, 6, 7, 8]
    for open_minian in readers():
        opened = open_minian(str(tmp_path / "nc")).load()
        assert list(opened["unit_id"].values) == list(range(8))
        assert opened.attrs == {} or "minian_vc" not in opened.attrs
        back = opened.assign_coords(unit_id=opened["original_unit_id"].values)
        xr.testing.assert_equal(back.drop_vars(["original_unit_id", "session_id"]), wanted)
        assert opened["session_id"].item() == "session1"
        assert set(open_minian(str(tmp_path / "nc"), return_dict=True)) == set(done.arrays)


def test_neuroconv_has_times_and_a_group_above(last: mvc.Dataset, tmp_path: Path):
    """In the Miniscope's form, from a rate or from the Miniscope's own file."""
    stamps = tmp_path / "timeStamps.csv"
    stamps.write_text(
        "Frame Number,Time Stamp (ms),Buffer Index\n" + "".join(f"{n},{33 * n + 7},0\n" for n in range(200))
    )
    for name, options in (("rate", {"rate": 30}), ("file", {"timestamps": stamps})):
        last.export(f"@{LAST}", format="minian", out=tmp_path / name, neuroconv=True, **options)
        assert json.loads((tmp_path / name / ".zgroup").read_text()) == {"zarr_format": 2}
        with (tmp_path / name / "timeStamps.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["Frame Number"]) for row in rows] == list(range(190))
        milliseconds = [float(row["Time Stamp (ms)"]) for row in rows]
        right = np.arange(190) / 0.03 if name == "rate" else 33 * np.arange(190) + 7
        np.testing.assert_allclose(milliseconds, right, atol=1e-6, rtol=0)


@pytest.mark.parametrize("lacking", ["A", "C", "b", "f"])
def test_neuroconv_needs_these(last: mvc.Dataset, tmp_path: Path, lacking: str):
    """The one that is not there is named, and nothing is written."""
    named = [f"{name}@{LAST}" for name in ("A", "C", "b", "f", "S") if name != lacking]
    with pytest.raises(InvalidInputError, match=f"and {lacking} is not among"):
        last.export(*named, format="minian", out=tmp_path / "nc", neuroconv=True, rate=20)
    assert list(tmp_path.glob("*nc*")) == []


def test_neuroconv_reads_dims_by_position(root: Path, tmp_path: Path):
    """Arrays in another order are turned; other dims are refused."""
    folder = root / "m/s/minian"
    labels = {"unit_id": [5, 7], "frame": [0, 1, 2], "height": [0, 1], "width": [0, 1, 2, 3]}
    made = {"A": ("height", "width", "unit_id"), "C": ("frame", "unit_id"), "b": ("width", "height"), "f": ("frame",)}
    for name, dims in {**made, "b0": ("unit_id",)}.items():
        values = np.arange(np.prod([len(labels[dim]) for dim in dims]), dtype=float)
        array = xr.DataArray(
            values.reshape([len(labels[dim]) for dim in dims]), {dim: labels[dim] for dim in dims}, dims, name
        )
        mvc.save_minian(array.chunk(), folder)
    dataset = mvc.open(folder)
    dataset.commit("turned", tag="turned")
    dataset.export(*(f"{name}@turned" for name in made), format="minian", out=tmp_path / "nc", neuroconv=True, rate=20)
    opened = mvc.open_minian(tmp_path / "nc")
    assert (opened["A"].dims, opened["b"].dims) == (("unit_id", "height", "width"), ("height", "width"))
    assert opened["C"].dims == ("unit_id", "frame")
    np.testing.assert_array_equal(opened["C"].values, dataset["C@turned"].values.T)
    with pytest.raises(InvalidInputError, match="reads b0 as unit_id x frame, and it has the dims unit_id"):
        dataset.export("@turned", format="minian", out=tmp_path / "no", neuroconv=True, rate=20)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"neuroconv": True}, "Times come of a rate or of timestamps"),
        ({"rate": 20}, "Add --neuroconv"),
        ({"timestamps": "x.csv"}, "Add --neuroconv"),
    ],
)
def test_times_and_neuroconv_go_together(last: mvc.Dataset, tmp_path: Path, options: dict[str, Any], said: str):
    """One without the other is refused, and nothing is written."""
    with pytest.raises(InvalidInputError, match=said):
        last.export(f"@{LAST}", format="minian", out=tmp_path / "minian", **options)
    assert list(tmp_path.glob("*minian*")) == []
