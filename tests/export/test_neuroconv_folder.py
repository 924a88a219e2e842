"""What roiextractors and neuroconv make of a MiniAn folder that was exported with --neuroconv."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from last_stage import LAST, commit_last_stage

import minian_vc as mvc

roiextractors = pytest.importorskip("roiextractors")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of many kinds


@pytest.fixture(scope="module")
def last(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    """A dataset that has max_proj too."""
    dataset = commit_last_stage(stages, tmp_path_factory.mktemp("lab"))
    max_proj = dataset[f"A@{LAST}"].max("unit_id").rename("max_proj").compute()
    mvc.save_minian(max_proj.drop_vars(["unit_labels"], errors="ignore"), dataset.path)
    dataset.commit("with its projection", tag="last")
    return dataset


@pytest.fixture(scope="module")
def arrays(last: mvc.Dataset) -> xr.Dataset:
    """What goes out: A has had a unit more than C, which is left out."""
    return last.open("last", arrays=["A", "C", "S", "b0", "b", "f", "max_proj"]).load()


@pytest.fixture(scope="module")
def folder(last: mvc.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "minian"
    last.export("@last", format="minian", out=out, neuroconv=True, rate=20)
    return out


def test_masks_traces_and_ids_are_those_of_the_checkpoint(folder: Path, arrays: xr.Dataset):
    """A unit's mask is beside its own traces, under the id that original_unit_id leads back from."""
    found = roiextractors.MinianSegmentationExtractor(folder)
    assert list(found.get_roi_ids()) == list(range(8))
    original = mvc.open_minian(folder)["original_unit_id"].values
    assert list(original) == list(arrays["unit_id"].values)
    masks, traces = found.get_roi_image_masks(), found.get_traces_dict()
    for at, unit in enumerate(original):
        np.testing.assert_array_equal(masks[:, :, at], arrays["A"].sel(unit_id=unit).values)
        for name, theirs in (("C", "denoised"), ("S", "deconvolved"), ("b0", "baseline")):
            np.testing.assert_array_equal(traces[theirs][:, at], arrays[name].sel(unit_id=unit).values)
    np.testing.assert_array_equal(traces["background"][:, 0], arrays["f"].values)
    np.testing.assert_array_equal(found.get_images_dict()["maximum_projection"], arrays["max_proj"].values)
    assert tuple(found.get_frame_shape()) == arrays["max_proj"].shape


def test_its_times_are_the_rates(folder: Path, arrays: xr.Dataset):
    """Read from timeStamps.csv, without a rate given again."""
    found = roiextractors.MinianSegmentationExtractor(folder)
    np.testing.assert_allclose(found.get_native_timestamps(), arrays["frame"].values / 20, rtol=0, atol=1e-9)
    assert found.get_sampling_frequency() == pytest.approx(20)


def test_neuroconv_writes_its_nwb_file(folder: Path, arrays: xr.Dataset, tmp_path: Path):
    """The whole way, with nothing given but the start of the session; the file holds equal traces and masks."""
    interfaces = pytest.importorskip("neuroconv.datainterfaces")
    pynwb = pytest.importorskip("pynwb")
    interface = interfaces.MinianSegmentationInterface(folder_path=folder)
    metadata = interface.get_metadata()
    assert metadata["NWBFile"]["session_id"] == "session1"
    metadata["NWBFile"]["session_start_time"] = datetime(2020, 1, 1, tzinfo=UTC)
    interface.run_conversion(nwbfile_path=tmp_path / "session.nwb", metadata=metadata)
    with pynwb.NWBHDF5IO(tmp_path / "session.nwb", "r") as file:
        modules = file.read().processing["ophys"].data_interfaces
        traces = modules["Fluorescence"].roi_response_series
        (denoised,) = (series for name, series in traces.items() if "enoised" in name)
        np.testing.assert_array_equal(denoised.data[:], arrays["C"].values.T)
        (table,) = (
            each
            for each in modules["ImageSegmentation"].plane_segmentations.values()
            if len(each) == arrays.sizes["unit_id"]
        )
        masks = np.stack(table["image_mask"][:])  # the schema's are width x height
        np.testing.assert_array_equal(masks.transpose(0, 2, 1), arrays["A"].values)
