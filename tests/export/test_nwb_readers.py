"""NWB: what its validator, its inspector and pynapple make of the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nwb_making import OPTIONAL, VALUES, final, yaml_file

import minian_vc as mvc

pynwb = pytest.importorskip("pynwb")

# pynwb is imported with the warnings of its own dependencies
pytestmark = pytest.mark.filterwarnings("ignore")
RATE = {"rate": 20.0}


@pytest.fixture
def done(stages: Path, root: Path) -> mvc.Dataset:
    return final(stages, root)


def written(dataset: mvc.Dataset, folder: Path, values: dict = VALUES, **options) -> Path:
    out, metadata = folder / "out.nwb", yaml_file(folder, values)
    return dataset.export("@final", format="nwb", out=out, force=True, metadata=metadata, **(options or RATE)).path


def uneven(folder: Path) -> Path:
    """Write timestamps of a camera that does not keep time, in seconds."""
    path = folder / "times.txt"
    path.write_text("\n".join(f"{i / 20 + 0.004 * (i % 3):.3f}" for i in range(190)))
    return path


def found_in(path: Path) -> list[str]:
    """Return what the inspector finds at its lowest threshold, as it is and with DANDI's configuration."""
    inspector = pytest.importorskip("nwbinspector")
    least = inspector.Importance.BEST_PRACTICE_SUGGESTION
    return [
        f"{message.importance.name}: {message.check_function_name}: {message.message}"
        for config in (None, inspector.load_config("dandi"))
        for message in inspector.inspect_nwbfile(nwbfile_path=path, config=config, importance_threshold=least)
    ]


@pytest.mark.parametrize("masks", ["pixel", "image"])
@pytest.mark.parametrize("given", ["least", "all"])
def test_nothing_is_found_in_a_file(masks: str, given: str, done: mvc.Dataset, tmp_path: Path):
    """By the validator, and by the inspector at its strictest, with what is required or with all of the YAML."""
    options = RATE if given == "least" else {"timestamps": uneven(tmp_path)}
    path = written(done, tmp_path, VALUES if given == "least" else VALUES | OPTIONAL, masks=masks, **options)
    assert pynwb.validate(path=path) == []
    assert found_in(path) == []


def test_the_inspector_would_find_something(done: mvc.Dataset, tmp_path: Path):
    """It does look: a location that is none is found."""
    path = written(done, tmp_path, VALUES | {"imaging_plane.location": "unknown"})
    assert [each for each in found_in(path) if "location" in each]


def test_pynapple_opens_it_by_unit_ids(done: mvc.Dataset, tmp_path: Path):
    """Columns are the unit ids, values and times those of the checkpoint."""
    nap = pytest.importorskip("pynapple")
    expected = done.open("final").compute()
    for options, times in (
        (RATE, expected.frame.values / 20),
        ({"timestamps": uneven(tmp_path)}, np.loadtxt(uneven(tmp_path))),
    ):
        data = nap.load_file(str(written(done, tmp_path, **options)))
        for name, title in (("C", "Denoised"), ("S", "Deconvolved"), ("b0", "Baseline")):
            frame = data[title]
            assert list(frame.columns) == list(expected.unit_id.values)
            np.testing.assert_array_equal(frame.values, expected[name].transpose("frame", "unit_id").values)
            np.testing.assert_allclose(frame.t, times, rtol=0, atol=1e-9)
        data.close()
