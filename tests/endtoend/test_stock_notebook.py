"""MiniAn's own notebook, run by a real kernel with ``%load_ext minian_vc`` in front: nothing it saved is lost.

What was saved is known from copies that a witness made beside minian_vc, each right after its call of save_minian.
"""

from __future__ import annotations

import itertools
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import tree
from kernel import processes_of, run
from sharing import made_once, shared_folder
from stock_notebook import parameter_names, stock_cells, to_notebook
from stock_run import Run, make_run, named, read_run
from witness import Save

import minian_vc as mvc
from minian_vc.model import ArrayVersion, Checkpoint, digest_of

REASON = "is not installed: MiniAn has an environment of its own"
pytest.importorskip("minian", reason=f"minian {REASON}")
pytest.importorskip("minisim", reason=f"minisim {REASON}")
pytest.importorskip("imageio_ffmpeg", reason=f"imageio-ffmpeg {REASON}")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ffmpeg and ffprobe are put on PATH as shell scripts")

OVERWRITTEN = {"A": 3, "C": 5, "S": 2, "b": 3, "f": 3}  # how often the notebook saves it to its intermediate folder
MOVIES = {"varr", "varr_ref", "Y_fm_chk", "Y_hw_chk", "Yb"}  # recorded without their bytes
NO_SAVE_IN_SIGHT = ("seeds_init(", "update_background(", "update_spatial(", "update_temporal(")  # they save inside


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run, which all tests and all workers share: they only read."""
    return read_run(made_once(shared_folder(tmp_path_factory).resolve() / "stock-notebook", make_run))


# -- what is in the history ----------------------------------------------------------------------------------------


def checkpoints(dataset: Path) -> list[Checkpoint]:
    """Return the checkpoints, oldest first."""
    recorded = mvc.open(dataset)
    return [recorded.show(entry.id) for entry in reversed(recorded.history())]


def versions(dataset: Path) -> Iterator[tuple[Checkpoint, ArrayVersion]]:
    """Return each array version with the checkpoint that brought it, oldest first."""
    known: dict[str, str] = {}
    for checkpoint in checkpoints(dataset):
        for array in checkpoint.arrays:
            if known.get(array.name) != array.manifest:
                known[array.name] = array.manifest
                yield checkpoint, array


def versions_of(dataset: Path, name: str) -> list[tuple[Checkpoint, ArrayVersion]]:
    """Return the versions of one array, oldest first."""
    return [(checkpoint, array) for checkpoint, array in versions(dataset) if array.name == name]


def without_repeats(saves: list[Save]) -> list[Save]:
    """Return the saves that left another folder than the one before: only such a save makes a version.

    MiniAn 2.0.2's second update_background hands out b and f of the first: dask, asked for a mean of the ``Yb``
    under the same path, gives the result it still has.
    """
    trees = [tree(Path(save.copy)) for save in saves]
    return [save for i, save in enumerate(saves) if i == 0 or trees[i] != trees[i - 1]]


def original(folder: Path) -> xr.DataArray:
    """Read an array folder without minian_vc, and without its ``.zmetadata``."""
    return xr.open_zarr(folder, consolidated=False)[folder.stem]


def assert_same(opened: xr.DataArray, truth: xr.DataArray) -> None:
    """Name, dims, coordinates, attributes, dtype and values are equal."""
    xr.testing.assert_identical(opened.compute(), truth.compute())
    assert opened.dtype == truth.dtype


# -- tests ---------------------------------------------------------------------------------------------------------


def test_the_notebook_saves_what_it_is_known_to_save(stock: Run) -> None:
    """The witness saw the overwrites that all this is about, saves inside of MiniAn's functions among them."""
    seen = Counter(save.name for save in stock.saves if save.dataset == str(stock.places.intermediate))
    seen["C"] -= 2  # TWICE
    assert {name: seen[name] for name in OVERWRITTEN} == OVERWRITTEN
    assert (seen["Yb"], seen["S_new"], seen["max_res"]) == (3, 2, 1)
    assert {save.dataset for save in stock.saves} == {str(stock.places.intermediate), str(stock.places.final)}


def test_every_save_is_a_version_byte_for_byte_and_there_is_no_other(stock: Run) -> None:
    """Each call of save_minian that changed an array made one version of it: those files, in that order."""
    for dataset in (stock.places.intermediate, stock.places.final):
        recorded = list(versions(dataset))
        objects = mvc.open(dataset).repository
        names = {save.name for save in stock.saves if save.dataset == str(dataset)}
        assert {array.name for _, array in recorded} == names
        for name in names:
            saved = without_repeats(stock.saved(dataset, name))
            kept = [(checkpoint, array) for checkpoint, array in recorded if array.name == name]
            assert len(kept) == len(saved), name
            for save, (_, array) in zip(saved, kept, strict=True):
                files = objects.stored_files(array.manifest)
                copy = tree(Path(save.copy))
                assert {key: entry.digest for key, entry in files.entries.items()} == {
                    key: digest_of(content) for key, content in copy.items()
                }, save
                assert array.bytes_kept == (name not in MOVIES)
                if array.bytes_kept:
                    assert {key: files[key] for key in files} == copy


@pytest.mark.parametrize("name", OVERWRITTEN)
def test_every_overwritten_version_opens_with_the_values_of_its_time(stock: Run, name: str) -> None:
    """``C@id`` of each overwritten C equals what save_minian had left at that time; so do A, S, b and f."""
    dataset = mvc.open(stock.places.intermediate)
    saved = without_repeats(stock.saved(stock.places.intermediate, name))
    kept = versions_of(stock.places.intermediate, name)
    assert len(kept) == len(saved) > 1
    values = []
    for save, (checkpoint, _) in zip(saved, kept, strict=True):
        truth = original(named(save))
        assert_same(dataset[f"{name}@{checkpoint.short_id}"], truth)
        values.append(truth.values)
    assert not any(np.array_equal(a, b) for a, b in itertools.pairwise(values))


def test_two_saves_in_one_cell_are_two_versions(stock: Run) -> None:
    """A save that the same cell overwrites is recorded before it goes."""
    first, second = versions_of(stock.places.intermediate, "C")[-2:]
    dataset = mvc.open(stock.places.intermediate)
    one, two = (dataset[f"C@{checkpoint.short_id}"].values for checkpoint, _ in (first, second))
    np.testing.assert_allclose(two, one * 1.5)
    assert first[0].provenance["code"] == second[0].provenance["code"]


def test_each_version_knows_the_cell_that_saved_it(stock: Run) -> None:
    """Source and number of the cell are those of the call, also where the call is inside of MiniAn's functions."""
    sources = {cell.execution_count: cell.source for cell in stock.notebook.cells}
    for dataset in (stock.places.intermediate, stock.places.final):
        for name in {array.name for _, array in versions(dataset)}:
            saved = without_repeats(stock.saved(dataset, name))
            for save, (checkpoint, _) in zip(saved, versions_of(dataset, name), strict=True):
                code = checkpoint.provenance["code"]
                assert (code["number"], code["cell"]) == (save.cell, save.source)
                assert code["cell"] == sources[save.cell]
                assert "save_minian(" in code["cell"] or any(call in code["cell"] for call in NO_SAVE_IN_SIGHT)


def test_each_checkpoint_knows_parameters_chk_environment_and_that_nobody_made_it(stock: Run) -> None:
    """Every ``param_*`` as it stood, chk, the packages that matter, host and user; and it is automatic."""
    names = parameter_names(stock_cells(stock.places))
    assert len(names) > 10
    movie = original(named(stock.saved(stock.places.intermediate, "varr")[0]))  # so small that it is one chunk
    for dataset in (stock.places.intermediate, stock.places.final):
        for checkpoint in checkpoints(dataset):
            kept = checkpoint.provenance
            assert kept["automatic"] == "notebook"
            assert set(kept["params"]) == names
            assert kept["params"]["param_first_spatial"]["size_thres"] == [300, None]
            assert kept["params"]["param_first_merge"] == {"thres_corr": 0.65, "chunk": 600}
            assert kept["chk"] == dict(movie.sizes)
            assert kept["environment"]["packages"]["minian"] == "2.0.2"
            assert {"xarray", "zarr", "dask", "numpy"} <= set(kept["environment"]["packages"])
            assert kept["environment"]["host"]
            assert kept["environment"]["user"]
        assert all(entry.automatic == "notebook" for entry in mvc.open(dataset).history())


def test_a_cell_that_saved_nothing_made_no_checkpoint(stock: Run) -> None:
    """There is one checkpoint for each cell that saved, two for the cell that saved an array twice, and no other."""
    for dataset in (stock.places.intermediate, stock.places.final):
        cells = {save.cell for save in stock.saves if save.dataset == str(dataset)}
        twice = dataset == stock.places.intermediate
        assert len(checkpoints(dataset)) == len(cells) + twice


def test_the_dataset_folders_hold_what_minian_saved_and_nothing_of_ours(stock: Run) -> None:
    """Each folder is, file by file, what the last save of each array left; ``.minian_vc`` lies above."""
    for dataset in (stock.places.intermediate, stock.places.final):
        last = {save.name: save.copy for save in stock.saves if save.dataset == str(dataset)}
        assert {path.name for path in dataset.iterdir()} == {f"{name}.zarr" for name in last}
        for name, copy in last.items():
            assert tree(dataset / f"{name}.zarr") == tree(Path(copy)), name
    for folder in (stock.places.notebook, stock.places.recording):
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [".minian_vc"]


def test_minian_opens_both_folders(stock: Run) -> None:
    """``open_minian`` takes what it took before: the final folder merged, the intermediate one as a dict."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MiniAn's own
        from minian.utilities import open_minian

        merged = open_minian(str(stock.places.final))
        apart = open_minian(str(stock.places.intermediate), return_dict=True)
    assert set(merged.data_vars) == {"A", "C", "S", "b", "b0", "c0", "f", "max_proj", "motion"}
    assert set(apart) == {save.name for save in stock.saves if save.dataset == str(stock.places.intermediate)}
    for name, opened in apart.items():
        assert_same(opened, original(stock.places.intermediate / f"{name}.zarr"))


def test_the_user_sees_one_line_for_each_repository_and_no_trouble(stock: Run) -> None:
    """No traceback anywhere, no warning from our code, and a single message per repository: that there is one."""
    outputs = [output for cell in stock.notebook.cells for output in cell.outputs]
    texts = [output.text for output in outputs if output.output_type == "stream"]
    said = [line for text in texts for line in text.splitlines() if line.startswith("minian_vc:")]
    homes = [stock.places.notebook / ".minian_vc", stock.places.recording / ".minian_vc"]
    assert len(said) == len(homes)
    assert all(f"are kept in {home};" in line for home, line in zip(homes, said, strict=True))
    assert not [output for output in outputs if output.output_type == "error"]
    ours = str(Path(mvc.__file__).parent)
    assert not [text for text in [*texts, stock.log] if "Traceback" in text or ours in text]


def test_our_save_minian_in_place_of_minians_leaves_the_same_arrays(stock: Run) -> None:
    """The last two cells that save, run again with only the import changed: same files, metadata, values."""
    ours = stock.places.notebook / "ours"
    pairs = {
        ours / "minian_intermediate": {name: -3 if name == "C" else -1 for name in ("C", "C_chk", "S", "b0", "c0")},
        ours / "mouse1" / "session1" / "minian": dict.fromkeys(("A", "C", "S", "b", "b0", "c0", "f"), -1),
    }
    for (folder, names), dataset in zip(pairs.items(), (stock.places.intermediate, stock.places.final), strict=True):
        assert {path.name for path in folder.iterdir()} == {f"{name}.zarr" for name in names}
        for name, which in names.items():
            saved = named(stock.saved(dataset, name)[which])
            made = folder / f"{name}.zarr"
            assert _metadata(made) == _metadata(saved)
            assert_same(original(made), original(saved))
        assert len(checkpoints(folder)) == 1


def test_a_notebook_that_fails_leaves_no_process(tmp_path: Path) -> None:
    """What a kernel started goes with it, when a cell raises too: nothing of a failing test runs on."""
    sleeper = "[sys.executable, '-c', 'import time; time.sleep(600)']"
    start = f"import subprocess, sys; subprocess.Popen({sleeper}, start_new_session=True)"
    notebook = to_notebook([start, "1 / 0"])
    with pytest.raises(Exception, match="ZeroDivisionError"):
        run(notebook, tmp_path, tmp_path, {})
    assert notebook.cells[0].execution_count == 1
    assert processes_of(tmp_path) == []


def _metadata(folder: Path) -> dict[str, object]:
    """Return the files of an array folder, metadata as JSON; ``.zmetadata`` left out, for MiniAn's is not right."""
    files = {key: content for key, content in tree(folder.resolve()).items() if key != ".zmetadata"}
    return {key: json.loads(content) if "/.z" in f"/{key}" else None for key, content in files.items()}
