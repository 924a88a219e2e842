"""save_minian with a distributed cluster: of processes, and of threads as the notebook has it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from conftest import tree
from save_cases import CASES, DATASET, PIPELINE, REFUSED, differences, files, read_golden, traces

from minian_vc import durable, save_minian

distributed = pytest.importorskip("distributed")
GOLDEN = read_golden()


@pytest.fixture(scope="module", params=[True, False], ids=["processes", "threads"])
def client(request: pytest.FixtureRequest) -> Iterator[object]:
    """Two workers."""
    how = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0"}
    with (
        warnings.catch_warnings(),
        dask.config.set({"distributed.worker.memory.terminate": False}),
    ):
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(processes=request.param, **how) as cluster,
            distributed.Client(cluster) as connected,
        ):
            yield connected


@pytest.fixture(autouse=True)
def _without_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing waits for whatever else the machine writes."""
    monkeypatch.setattr(durable, "flush", lambda *_: None)


@pytest.mark.parametrize("name", [*PIPELINE, "NaN everywhere", "zeros by pixels", "zstd", "bool", "0-d lazy"])
def test_a_cluster_leaves_what_minian_leaves(name: str, client: object, tmp_path: Path) -> None:
    """The pipeline's calls, and chunks that are all fill value, which must be written by workers as well."""
    case = CASES[name]
    saved = save_minian(case.make(), tmp_path / DATASET, **case.options)
    assert name not in REFUSED
    found = differences(GOLDEN[name], files(tmp_path / DATASET / "X.zarr"), rechunked=case.is_rechunked)
    assert found == []
    np.testing.assert_array_equal(saved.values, case.make().values)


@pytest.mark.parametrize("mem_limit", ["1MB", "4.7kB"], ids=["in memory", "over the disk"])
def test_chunks_in_memory_and_over_the_disk(mem_limit: str, client: object, tmp_path: Path) -> None:
    """Whatever ``mem_limit`` is, the folder is the same, and nothing is left beside it."""
    for name in ("C_chk", "C_init with chunks"):
        case = CASES[name]
        save_minian(case.make(), tmp_path / DATASET, overwrite=True, **{**case.options, "mem_limit": mem_limit})
        assert differences(GOLDEN[name], files(tmp_path / DATASET / "X.zarr"), rechunked=True) == []
    assert [path.name for path in (tmp_path / DATASET).parent.iterdir()] == ["minian"]


def test_onto_itself(client: object, tmp_path: Path) -> None:
    """Workers read the old folder while they write the new one."""
    saved = save_minian(traces(), tmp_path / DATASET)
    fewer = saved.isel(unit_id=[3, 1])
    again = save_minian(fewer, tmp_path / DATASET, overwrite=True)
    np.testing.assert_array_equal(again.values, traces().values[[3, 1]])


def test_values_that_the_cluster_keeps_are_not_taken_for_the_new_ones(client: object, tmp_path: Path) -> None:
    """Persisted under its dask name, which must not be that of the array saved over it, nor of one opened later."""
    saved = save_minian(traces(), tmp_path / DATASET)
    kept = client.persist(saved)
    np.testing.assert_array_equal(kept.values, traces().values)
    new = save_minian((traces() + 1000).rename("X"), tmp_path / DATASET, overwrite=True)
    np.testing.assert_array_equal(new.values, traces().values + 1000)
    assert new.data.name != saved.data.name
    np.testing.assert_array_equal(kept.values, traces().values)


def test_a_worker_that_fails_leaves_the_old_version(client: object, tmp_path: Path) -> None:
    """The error of the chunk comes through."""
    dataset = tmp_path / DATASET
    save_minian(traces(), dataset)
    before = tree(dataset)

    def fail(block: np.ndarray) -> np.ndarray:
        raise ValueError("no such chunk")

    values = da.ones((6, 50), chunks=(1, -1)).map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    bad = xr.DataArray(values, {"unit_id": range(6)}, ("unit_id", "frame"), "X")
    with pytest.raises(ValueError, match="no such chunk"):
        save_minian(bad, dataset, overwrite=True)
    assert tree(dataset) == before


def test_compute_false_on_a_cluster(client: object, tmp_path: Path) -> None:
    """A worker finishes the save; the client's own folder goes away."""
    dataset = tmp_path / DATASET
    save_minian((traces() + 1).rename("X"), dataset)
    before = tree(dataset)
    for options in ({}, CASES["C_chk"].options, {**CASES["C_chk"].options, "mem_limit": "4.7kB"}):
        delayed = save_minian(traces(), dataset, overwrite=True, compute=False, **options)
        assert tree(dataset) == before
        assert delayed.compute() == str(dataset / "X.zarr")
        golden = GOLDEN["C_chk" if options else "C"]
        assert differences(golden, files(dataset / "X.zarr"), rechunked=bool(options)) == []
        assert [path.name for path in dataset.parent.iterdir()] == ["minian"]
        save_minian((traces() + 1).rename("X"), dataset, overwrite=True)
