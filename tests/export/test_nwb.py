"""NWB: what is in the file, read back with pynwb."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from nwb_making import OPTIONAL, VALUES, as_image, final, stored, yaml_file

import minian_vc as mvc
from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.export.bundle import Bundle
from minian_vc.export.nwb import write

pynwb = pytest.importorskip("pynwb")

# pynwb is imported with the warnings of its own dependencies
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SERIES = {"C": "Denoised", "S": "Deconvolved", "b0": "Baseline"}
left_out = pytest.mark.filterwarnings("ignore:The format nwb has no place")


@pytest.fixture
def done(stages: Path, root: Path) -> mvc.Dataset:
    return final(stages, root)


def written(dataset: mvc.Dataset, folder: Path, *specs: str, name: str = "out.nwb", values=VALUES, **options) -> Path:
    options = {"rate": 20.0} | options if "timestamps" not in options else options
    metadata = yaml_file(folder, values)
    return dataset.export(*specs, format="nwb", out=folder / name, metadata=metadata, **options).path


ALL = ("A@final", "C@final", "S@final", "b0@final", "max_proj@final")


@pytest.mark.parametrize("masks", ["pixel", "image"])
def test_every_value_comes_back_under_its_unit(masks: str, done: mvc.Dataset, tmp_path: Path):
    """Rows have the unit ids; masks are (width, height), traces (frame, unit)."""
    expected = done.open("final").compute()
    with pynwb.NWBHDF5IO(written(done, tmp_path, *ALL, masks=masks), "r") as io:
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert list(table.id[:]) == list(expected.unit_id.values) == [1, 2, 3, 4, 6, 5, 7, 8]
        footprints = expected["A"].transpose("unit_id", "width", "height").values
        for row, footprint in enumerate(footprints):
            np.testing.assert_array_equal(as_image(table, row, footprint.shape), stored(footprint, masks))
        series = ophys["Fluorescence"].roi_response_series
        assert set(series) == set(SERIES.values())
        for name, title in SERIES.items():
            trace = expected[name].transpose("frame", "unit_id")
            np.testing.assert_array_equal(series[title].data[:], trace.values)
            assert series[title].data.dtype == trace.dtype
            assert series[title].unit == "a.u."
            assert list(series[title].rois.data[:]) == list(range(8))
            assert series[title].rois.table is table
        image = ophys["SegmentationImages"]["max_proj"]
        np.testing.assert_array_equal(image.data[:], expected["max_proj"].transpose("width", "height").values)


@left_out
def test_units_with_gaps_in_another_order_keep_their_ids(history: mvc.Dataset, tmp_path: Path):
    """A row pairs the footprint and the trace of one unit id: A and C are saved in different orders here."""
    tag = "stage-02-first-temporal"
    with pynwb.NWBHDF5IO(written(history, tmp_path, f"@{tag}"), "r") as io:
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        denoised = ophys["Fluorescence"]["Denoised"].data[:]
        assert sorted(table.id[:]) == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
        for row, unit in enumerate(table.id[:]):
            trace, footprint = (history[f"{name}@{tag}"].sel(unit_id=unit) for name in "CA")
            np.testing.assert_array_equal(denoised[:, row], trace.values)
            image = footprint.transpose("width", "height").values
            np.testing.assert_array_equal(as_image(table, row, image.shape), image.astype("f4"))


def test_only_what_there_is(done: mvc.Dataset, tmp_path: Path):
    """One trace is enough, and the image need not be there."""
    with pynwb.NWBHDF5IO(written(done, tmp_path, "S@final", "A@final"), "r") as io:
        ophys = io.read().processing["ophys"]
        assert set(ophys["Fluorescence"].roi_response_series) == {"Deconvolved"}
        assert set(ophys.data_interfaces) == {"ImageSegmentation", "Fluorescence"}


@left_out
def test_who_it_is_and_what_the_yaml_said(done: mvc.Dataset, tmp_path: Path):
    """The identity lies in scratch; the YAML's values where they belong; nothing else is said."""
    path = written(done, tmp_path, "@final", values=VALUES | OPTIONAL)
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        identity = json.loads(file.scratch["minian_vc"].data)
        assert identity["tags"] == ["final"]
        assert set(identity["arrays"]) == {"A", "C", "S", "b0", "max_proj"}
        assert {name: file.scratch[name].data for name in ("session", "animal", "tag")} == {
            "session": "session1",
            "animal": "mouse1",
            "tag": "final",
        }
        assert file.scratch["checkpoint"].data == identity["checkpoint"] == done.find("@final")[0].id
        assert file.session_id == "day-1"
        assert (file.lab, file.institution, file.virus) == ("Doe lab", "University of Somewhere", "AAV1.Syn.GCaMP6f")
        assert file.session_start_time.isoformat() == "2024-05-17T14:30:00+02:00"
        assert (file.subject.subject_id, file.subject.age, file.subject.strain) == ("mouse1", "P90D", "C57BL/6J")
        plane = file.imaging_planes["ImagingPlane"]
        assert (plane.location, plane.indicator, plane.excitation_lambda) == ("CA1", "GCaMP6f", 475.0)
        assert plane.optical_channel[0].emission_lambda == 525.0
        assert plane.imaging_rate == 20.0
        assert plane.device.name == "Miniscope V4"
        assert list(file.was_generated_by[0]) == ["minian_vc", mvc.__version__]


def test_left_empty_the_session_is_minians_and_a_birth_has_the_recordings_zone(done: mvc.Dataset, tmp_path: Path):
    values = {k: v for k, v in VALUES.items() if k != "subject.age"} | {"subject.date_of_birth": "2024-02-17"}
    with pynwb.NWBHDF5IO(written(done, tmp_path, *ALL, values=values), "r") as io:
        file = io.read()
        assert file.session_id == "session1"
        assert file.subject.date_of_birth.isoformat() == "2024-02-17T00:00:00+02:00"
        assert file.subject.age is None


# -- times ------------------------------------------------------------------------------------


def test_a_rate_is_the_options_or_the_yamls(done: mvc.Dataset, tmp_path: Path):
    for options, rate in (({"rate": 20.0}, 20.0), ({"rate": None}, 30.0)):
        path = written(done, tmp_path, *ALL, values=VALUES | {"rate": "30"}, force=True, **options)
        with pynwb.NWBHDF5IO(path, "r") as io:
            series = io.read().processing["ophys"]["Fluorescence"]["Deconvolved"]
            assert (series.rate, series.starting_time, series.timestamps) == (rate, 0.0, None)


def test_timestamps_are_kept_once_for_all_traces(done: mvc.Dataset, tmp_path: Path):
    times = np.cumsum(np.r_[0.015, np.tile([0.033, 0.034], 95)[:-1]])
    table = "\n".join(["Frame Number,Time Stamp (ms)", *(f"{i},{time * 1000:.0f}" for i, time in enumerate(times))])
    (tmp_path / "timeStamps.csv").write_text(table)
    path = written(done, tmp_path, *ALL, timestamps=tmp_path / "timeStamps.csv", values=VALUES | {"rate": "30"})
    with pynwb.NWBHDF5IO(path, "r") as io:
        series = io.read().processing["ophys"]["Fluorescence"].roi_response_series
        for each in series.values():
            np.testing.assert_allclose(each.timestamps[:], times, rtol=0, atol=1e-9)
            assert each.rate is None
        assert len({each.timestamps.name for each in series.values()}) == 1


def test_even_timestamps_are_a_rate(done: mvc.Dataset, tmp_path: Path):
    """As NWB's best practices have it."""
    (tmp_path / "times.txt").write_text("\n".join(f"{0.5 + i / 25:.3f}" for i in range(190)))
    with pynwb.NWBHDF5IO(written(done, tmp_path, *ALL, timestamps=tmp_path / "times.txt"), "r") as io:
        series = io.read().processing["ophys"]["Fluorescence"]["Denoised"]
        assert (series.starting_time, series.timestamps) == (0.5, None)
        assert series.rate == pytest.approx(25)


def by_hand(frames: list[int], folder: Path, **dims: tuple[str, ...]) -> Path:
    """Write arrays of these dims, whatever MiniAn's are."""
    dims = {"A": ("unit_id", "height", "width"), "C": ("unit_id", "frame")} | dims
    labels = {"unit_id": [3, 5], "frame": frames, "height": [0, 1], "width": [0, 1, 2], "animal": ["a", "b"]}
    arrays = {name: (each, np.ones([len(labels[dim]) for dim in each])) for name, each in dims.items()}
    coords = {dim: labels[dim] for dim in {dim for each in dims.values() for dim in each}}
    identity = {"checkpoint": "blake3:0", "tags": [], "session": "s", "animal": "a", "arrays": {}}
    together = xr.Dataset(arrays, coords).chunk()
    write(Bundle(together, identity), folder / "a.nwb", metadata=yaml_file(folder), rate=20.0)
    return folder / "a.nwb"


@pytest.mark.parametrize("frames", [[2, 1, 0, 3], [3, 2, 1, 0], [0, 1, 1, 2]], ids=["mixed", "backwards", "twice"])
def test_frames_that_do_not_rise_are_refused(frames: list[int], tmp_path: Path):
    """Times would not rise, with a rate as with timestamps."""
    with pytest.raises(InvalidInputError, match="along frame do not rise"):
        by_hand(frames, tmp_path)
    assert list(tmp_path.glob("*.nwb")) == []


# -- the same again, and refusals -------------------------------------------------------------


def contents(path: Path) -> dict:
    """Return all datasets and attributes of a file, but what tells one writing from another."""
    import h5py

    found = {}

    def note(name: str, each) -> None:
        attributes = {key: each.attrs[key] for key in each.attrs if key not in (".specloc", "object_id")}
        refs = {key for key, value in attributes.items() if isinstance(value, h5py.Reference)}
        found[name] = {key: np.asarray(value).tolist() for key, value in attributes.items() if key not in refs}
        if isinstance(each, h5py.Dataset) and name not in ("file_create_date",) and each.dtype.kind != "O":
            found[name]["data"] = each[()].tobytes()
        elif isinstance(each, h5py.Dataset) and name != "file_create_date":
            found[name]["data"] = np.asarray(each[()]).tolist()

    with h5py.File(path) as file:
        file.visititems(note)
    return found


@pytest.mark.parametrize("masks", ["pixel", "image"])
def test_the_same_version_twice_is_the_same_data(masks: str, done: mvc.Dataset, tmp_path: Path):
    """Down to the identifier; another version, or other masks, are another file."""
    one, two = (contents(written(done, tmp_path, *ALL, name=f"{i}.nwb", masks=masks)) for i in range(2))
    assert one == two
    other = contents(written(done, tmp_path, "A@final", "C@final", name="2.nwb", masks=masks))
    assert other["identifier"] != one["identifier"]


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        (["C@final", "S@final"], r"needs A \(the footprints\), and C, S are"),
        (["A@final", "max_proj@final"], "needs one of C, S, b0"),
        (["max_proj@final"], "the footprints.* and one of C, S, b0"),
        (["A@final", "C@final", "motion@final"], "no place for motion"),
    ],
)
def test_what_makes_no_nwb_file_is_refused(specs: list[str], said: str, done: mvc.Dataset, tmp_path: Path):
    with pytest.raises(InvalidInputError, match=said):
        written(done, tmp_path, *specs)
    assert [path.name for path in tmp_path.glob("*.nwb*")] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "out.h5"}, r"out\.h5 does not end in \.nwb"),
        ({"masks": "voxel"}, "no 'voxel' masks"),
        ({"rate": None}, "when each frame was"),
        ({"rate": -1.0}, "no rate in Hz"),
        ({"rate": 20.0, "timestamps": "times.csv"}, "Give one of the two"),
        ({"values": {}}, "required, and empty: session_start_time, "),
        ({"compression": 4}, "no option 'compression'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, said: str, done: mvc.Dataset, tmp_path: Path):
    with pytest.raises(InvalidInputError, match=said):
        written(done, tmp_path, *ALL, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab", "nwb.yaml"]


def test_what_a_whole_checkpoint_has_beside_is_said(done: mvc.Dataset, tmp_path: Path):
    """NWB has no place for motion, backgrounds and the like; the result names what is in the file."""
    with pytest.warns(UserWarning, match="no place for b, c0, f, motion: left out"):
        exported = done.export("@final", format="nwb", out=tmp_path / "a.nwb", metadata=yaml_file(tmp_path), rate=20)
    assert exported.arrays == ("A", "C", "S", "b0", "max_proj")


def test_text_ids_and_no_units_are_refused(done: mvc.Dataset, tmp_path: Path):
    """A row's id is an integer in NWB."""
    from minian_vc.export.nwb.segmentation import unit_ids

    footprints = xr.DataArray(np.zeros((2, 3, 4)), dims=("unit_id", "width", "height"))
    with pytest.raises(InvalidInputError, match="ids of type <U1"):
        unit_ids(footprints.assign_coords(unit_id=["a", "b"]))
    with pytest.raises(InvalidInputError, match="no units"):
        unit_ids(footprints[:0].assign_coords(unit_id=np.zeros(0, int)))


@pytest.mark.parametrize(
    ("name", "dims", "said"),
    [
        ("A", ("unit_id", "height", "width", "animal"), "A as unit_id x height x width.* unit_id x height x width x a"),
        ("A", ("unit_id", "frame"), "A as unit_id x height x width"),
        ("C", ("unit_id", "frame", "animal"), "C as unit_id x frame, .* unit_id x frame x animal"),
        ("S", ("unit_id", "frame", "animal"), "S as unit_id x frame, .* unit_id x frame x animal"),
        ("b0", ("unit_id",), "b0 as unit_id x frame, .* unit_id"),
        ("max_proj", ("animal", "height", "width"), "max_proj as height x width, .* animal x height x width"),
        ("max_proj", (), r"max_proj as height x width, .* \(none\)"),
    ],
)
def test_other_dims_are_refused(name: str, dims: tuple[str, ...], said: str, tmp_path: Path):
    """The array is named, with the dims that it has and those that it should have."""
    with pytest.raises(InvalidInputError, match=f"NWB reads {said}") as raised:
        by_hand([0, 1, 2, 3], tmp_path, **{name: dims})
    assert "Nothing was written" in str(raised.value.hint)
    assert list(tmp_path.glob("*.nwb")) == []


def test_dims_in_another_order_are_minians_too(tmp_path: Path):
    with pynwb.NWBHDF5IO(by_hand([4, 6, 8], tmp_path, C=("frame", "unit_id"), A=("width", "unit_id", "height"))) as io:
        series = io.read().processing["ophys"]["Fluorescence"]["Denoised"]
        assert (series.data.shape, series.starting_time, series.rate) == ((3, 2), 0.2, 10.0)


def test_a_missing_yaml_is_said(done: mvc.Dataset, tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"no file .*none\.yaml"):
        done.export(*ALL, format="nwb", out=tmp_path / "a.nwb", metadata=tmp_path / "none.yaml", rate=20)
    assert list(tmp_path.glob("a.nwb*")) == []
