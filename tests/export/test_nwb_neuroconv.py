"""NWB beside neuroconv's file of the same folder: the same masks, traces and image."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import put_stage
from nwb_making import FINAL, VALUES, as_image, stored, yaml_file

import minian_vc as mvc

pynwb = pytest.importorskip("pynwb")
neuroconv = pytest.importorskip("neuroconv")
pytest.importorskip("roiextractors")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(stages: Path, root: Path) -> Path:
    """What the run left at its end, with what neuroconv needs: a root group, timestamps and ids from 0."""
    import zarr

    path = put_stage(stages, "stage-06-final", root, FINAL)
    for name in ("A", "C", "S", "b0", "c0"):
        units = zarr.open_group(str(path / f"{name}.zarr"), mode="r+")["unit_id"]
        assert units[:].tolist() == [1, 2, 3, 4, 6, 5, 7, 8]
        units[:] = np.arange(8)
    return path


def by_neuroconv(folder: Path, out: Path) -> Path:
    """Convert the folder with neuroconv's interface."""
    from neuroconv.datainterfaces import MinianSegmentationInterface

    (folder / ".zgroup").write_text(json.dumps({"zarr_format": 2}))
    rows = [f"{frame},{frame * 50}" for frame in range(190)]
    (folder / "timeStamps.csv").write_text("\n".join(["Frame Number,Time Stamp (ms)", *rows]))
    interface = MinianSegmentationInterface(folder_path=folder, sampling_frequency=20.0)
    start = datetime.datetime.fromisoformat(VALUES["session_start_time"])
    file = pynwb.NWBFile(session_description="d", identifier="i", session_start_time=start)
    interface.add_to_nwbfile(nwbfile=file, include_background_segmentation=False, include_roi_centroids=False)
    with pynwb.NWBHDF5IO(out, "w") as io:
        io.write(file)
    return out


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Return what both files hold: ids, masks as images, traces and the summary image."""
    with pynwb.NWBHDF5IO(path, "r") as io:
        ophys = io.read().processing["ophys"]
        (table,) = ophys["ImageSegmentation"].plane_segmentations.values()
        found = {name: each.data[:] for name, each in ophys["Fluorescence"].roi_response_series.items()}
        (image,) = ophys["SegmentationImages"].images.values()
        masks = np.stack([as_image(table, row, image.data.shape) for row in range(8)])
        return found | {"ids": table.id[:], "masks": masks, "image": image.data[:]}


@pytest.mark.parametrize("masks", ["pixel", "image"])
def test_neuroconv_makes_the_same_of_the_same_folder(masks: str, folder: Path, tmp_path: Path):
    """It writes image masks; our pixel masks are these, as float32."""
    dataset = mvc.open(folder)
    dataset.commit("all done", tag="final")
    out = tmp_path / "ours.nwb"
    dataset.export("@final", format="nwb", out=out, metadata=yaml_file(tmp_path), rate=20.0, masks=masks)
    ours, theirs = arrays(out), arrays(by_neuroconv(folder, tmp_path / "theirs.nwb"))
    assert set(ours) == {"Denoised", "Deconvolved", "Baseline", "ids", "masks", "image"}
    theirs["masks"] = stored(theirs["masks"], masks)
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)
