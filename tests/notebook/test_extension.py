"""%load_ext minian_vc: what is saved is recorded, and the notebook is not disturbed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shells
from shells import Shell, stock_save, traces

import minian_vc as mvc
from minian_vc.notebook import recorder
from minian_vc.notebook.recorder import MOVIES

folder, notebook = shells.folder, shells.notebook


def opened(folder: Path) -> mvc.Dataset:
    return mvc.open(folder / "minian_intermediate")


def values(dataset: mvc.Dataset, name: str = "C") -> list[float]:
    """The value of each version of an array, oldest first."""
    found = [dataset[f"{name}@{entry.id}"].values for entry in reversed(dataset.history(array=name))]
    assert all(np.all(each == each.flat[0]) for each in found)
    return [float(each.flat[0]) for each in found]


def test_each_cell_that_saves_becomes_a_checkpoint(notebook: Shell, folder: Path) -> None:
    """And the version that was overwritten in a later cell can be opened."""
    notebook.run("stock_save(traces(1), intpath); stock_save(traces(1, name='S'), intpath)")
    notebook.run("stock_save(traces(2), intpath)")
    dataset = opened(folder)
    assert [entry.message for entry in dataset.history()] == ["C", "C, S"]
    assert values(dataset) == [1.0, 2.0]
    assert {entry.automatic for entry in dataset.history()} == {"notebook"}


def test_each_save_of_one_cell_is_recorded(notebook: Shell, folder: Path) -> None:
    """A loop over iterations in one cell: all arrays of an iteration are in one checkpoint."""
    notebook.run(
        "for k in (1, 2, 3):\n    stock_save(traces(k), intpath)\n    stock_save(traces(k, name='S'), intpath)"
    )
    dataset = opened(folder)
    assert values(dataset) == values(dataset, "S") == [1.0, 2.0, 3.0]
    for entry in dataset.history():
        both = dataset.open(entry.id)
        assert both["C"].values.flat[0] == both["S"].values.flat[0]


def test_what_was_there_before_the_extension_is_not_lost(folder: Path) -> None:
    """The first cell that overwrites arrays of an older run records them first."""
    stock_save(traces(7), "minian_intermediate")
    shell = Shell()
    shell.run("%load_ext minian_vc")
    shell.run("from shells import stock_save, traces\nstock_save(traces(8), 'minian_intermediate')")
    shell.run("%unload_ext minian_vc")
    assert values(opened(folder)) == [7.0, 8.0]


def test_our_own_save_is_recorded_too(notebook: Shell, folder: Path) -> None:
    """save_minian of minian_vc puts folders in place by a rename, of which Python tells nothing."""
    notebook.run("from minian_vc import save_minian\nC = save_minian(traces(1), intpath)")
    notebook.run("C = save_minian(C * 2, intpath, overwrite=True); C = save_minian(C * 2, intpath, overwrite=True)")
    assert values(opened(folder)) == [1.0, 2.0, 4.0]


def test_the_step_is_recorded_with_its_cell_parameters_and_chk(notebook: Shell, folder: Path) -> None:
    """As they stood when the cell had run."""
    notebook.run("param_first = {'p': np.int64(1), 'subset': slice(0, 5)}; param_text = 'no dict'; chk = {'frame': 10}")
    notebook.run("stock_save(traces(1), intpath)")
    kept = opened(folder).show().provenance
    assert kept["params"] == {"param_first": {"p": 1, "subset": {"slice": [0, 5, None]}}}
    assert kept["chk"] == {"frame": 10}
    assert kept["code"]["cell"] == "stock_save(traces(1), intpath)"
    assert kept["code"]["number"] == 4
    assert kept["environment"]["packages"]["xarray"]
    assert kept["environment"]["host"]


def test_a_cell_that_changes_nothing_reads_no_file(
    notebook: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the folders' times have settled, only folders are looked at, and nothing is committed."""
    notebook.run("stock_save(traces(1), intpath)")
    for path in [folder / "minian_intermediate", *(folder / "minian_intermediate").rglob("*")]:
        if path.is_dir():
            os.utime(path, ns=(1_600_000_000_123_456_789,) * 2)
    notebook.run("1 + 1")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was committed")

    monkeypatch.setattr(mvc.Dataset, "record", refuse)
    notebook.run("2 + 2")
    assert notebook.err == ""


def test_a_failing_cell_is_shown_and_what_it_saved_is_recorded(notebook: Shell, folder: Path) -> None:
    """The user's error is the user's: nothing of ours beside it."""
    with pytest.raises(ZeroDivisionError):
        notebook.run("stock_save(traces(1), intpath)\n1 / 0")
    assert values(opened(folder)) == [1.0]


def test_an_array_that_cannot_be_read_is_named_once_and_the_others_recorded(notebook: Shell, folder: Path) -> None:
    """A save that failed half-way, and one that did not, in the same cell."""
    notebook.run("stock_save(traces(1), intpath); stock_save(traces(1, name='S'), intpath)")
    notebook.run(
        "import shutil\nstock_save(traces(2), intpath); shutil.rmtree('minian_intermediate/S.zarr/S')\n"
        "import pathlib; pathlib.Path('minian_intermediate/S.zarr/S').mkdir()"
    )
    assert notebook.err.count("minian_vc: S in ") == 1
    assert "was not recorded" in notebook.err
    dataset = opened(folder)
    assert values(dataset) == [1.0, 2.0]
    assert values(dataset, "S") == [1.0]
    notebook.run("stock_save(traces(3), intpath)")
    assert notebook.err == ""
    notebook.run("stock_save(traces(4, name='S'), intpath)")
    assert values(dataset, "S") == [1.0, 4.0]


def test_a_disk_that_refuses_never_breaks_the_cell(
    notebook: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, however many cells follow."""

    def refuse(*_: object, **__: object) -> None:
        raise mvc.errors.StorageError("The disk is full.", "Free some space.")

    monkeypatch.setattr(mvc.Dataset, "record", refuse)
    notebook.run("stock_save(traces(1), intpath)")
    assert "The disk is full." in notebook.err
    notebook.run("stock_save(traces(2), intpath)")
    assert notebook.err == ""
    assert notebook.run("40 + 2") == 42


def test_a_fault_of_ours_never_breaks_the_cell(notebook: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does an error that nobody expected, in the audit hook or after the cell."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(mvc.Dataset, "record", fail)
    notebook.run("stock_save(traces(1), intpath); stock_save(traces(2), intpath); done = True")
    assert notebook["done"] is True
    assert notebook.err.count("by a fault of minian_vc") == 1


def test_movies_are_recorded_without_their_bytes_in_a_new_repository_only(notebook: Shell, folder: Path) -> None:
    """They are told of once, when the repository is made."""
    notebook.run("stock_save(traces(1, name='Yb'), intpath); stock_save(traces(1), intpath)")
    assert notebook.err.count("without their bytes") == 1
    assert not opened(folder).show().array("Yb").bytes_kept
    assert opened(folder).show().array("C").bytes_kept
    assert tuple(opened(folder).repository.config.record_without_bytes) == MOVIES


def test_a_tagged_save_makes_the_same_repository(notebook: Shell, folder: Path) -> None:
    """As the first save."""
    notebook.run("from minian_vc import save_minian\nsave_minian(traces(1, name='Yb'), intpath, tag='one'); None")
    assert notebook.err.count("without their bytes") == 1
    assert not opened(folder).show("one").array("Yb").bytes_kept
    assert opened(folder).repository.config.record_without_bytes == MOVIES


def test_a_tagged_save_after_unloading_keeps_everything(notebook: Shell, folder: Path) -> None:
    """Its repository is not the extension's."""
    notebook.run("%unload_ext minian_vc")
    notebook.run("from minian_vc import save_minian\nsave_minian(traces(1, name='Yb'), intpath, tag='one'); None")
    assert notebook.err == ""
    assert opened(folder).show("one").array("Yb").bytes_kept


def test_what_is_recorded_by_hand_has_cell_parameters_and_chk_too(notebook: Shell, folder: Path) -> None:
    """A tagged save, ``commit`` and ``%mvc commit``: nothing changes after them that the extension would record."""
    notebook.run("import minian_vc as mvc\nparam_first = {'p': np.int64(1)}; chk = {'frame': 10}")
    notebook.run("C = mvc.save_minian(traces(1), intpath, tag='saved')")
    notebook.run("mvc.save_minian(traces(2), intpath, overwrite=True); mvc.open(intpath).commit(params={'q': 2}); None")
    notebook.run("param_first = {'p': 3}\nmvc.save_minian(traces(3), intpath, overwrite=True, record=True); None")
    dataset = opened(folder)
    kept = dataset.show("saved").provenance
    assert kept["params"] == {"param_first": {"p": 1}}
    assert kept["chk"] == {"frame": 10}
    assert kept["code"]["cell"] == "C = mvc.save_minian(traces(1), intpath, tag='saved')"
    assert "automatic" not in kept
    assert dataset.show("latest~1").provenance["params"] == {"param_first": {"p": 1}, "q": 2}
    assert dataset.show("latest~1").provenance["chk"] == {"frame": 10}
    assert len(dataset.history(params={"first.p": 1})) == 2
    assert dict(dataset.diff("saved", "latest").params) == {"param_first.p": (1, 3)}
    assert len(dataset.history()) == len(dataset.history(manual=True)) == 3


def test_what_is_recorded_after_unloading_has_no_parameters(notebook: Shell, folder: Path) -> None:
    """Nobody is asked any more."""
    notebook.run("import minian_vc as mvc\nparam_first = {'p': 1}; chk = {'frame': 10}\n%unload_ext minian_vc")
    notebook.run("mvc.save_minian(traces(1), intpath, tag='saved'); None")
    assert {"params", "chk"}.isdisjoint(opened(folder).show("saved").provenance)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_leads_to_itself_is_said_once(notebook: Shell, folder: Path) -> None:
    """No traceback after each cell from then on, nor from a command."""
    notebook.run("stock_save(traces(1), intpath)")
    notebook.run("import os; os.symlink('X.zarr', intpath + '/X.zarr')")
    said, shown = notebook.err, notebook.out
    assert len(notebook.run("%mvc log")) == 1
    said, shown = said + notebook.err, shown + notebook.out
    notebook.run("1 + 1")
    said, shown = said + notebook.err, shown + notebook.out
    assert said.count("X.zarr is a symlink") == said.count("\n") == 1
    assert "Traceback" not in said + shown
    notebook.run("os.remove(intpath + '/X.zarr'); stock_save(traces(2), intpath)")
    assert values(opened(folder)) == [1.0, 2.0]


@pytest.mark.parametrize("name", ["take_stamp", "is_minian_dataset"])
def test_a_dataset_that_cannot_be_looked_at_is_said_once_and_the_others_recorded(
    notebook: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A network drive that went: the datasets after it do not suffer."""
    look = getattr(recorder, name)

    def refuse(dataset: Path) -> object:
        if dataset.name == "gone":
            raise OSError(116, "Stale file handle", str(dataset))
        return look(dataset)

    monkeypatch.setattr(recorder, name, refuse)
    notebook.run("stock_save(traces(1), 'gone'); stock_save(traces(1), intpath)")
    assert notebook.err.count("Stale file handle") == 1
    assert "Traceback" not in notebook.err + notebook.out
    assert values(opened(folder)) == [1.0]
    notebook.run("stock_save(traces(2), intpath)")
    assert notebook.err == ""
    assert values(opened(folder)) == [1.0, 2.0]
    assert len(notebook.run("%mvc log")) == 2


def test_a_repository_above_is_used_as_it_is(folder: Path) -> None:
    """The lab's own repository and its settings."""
    mvc.Repository.create(folder.parent.parent)
    shell = Shell()
    shell.run("%load_ext minian_vc")
    shell.run("from shells import stock_save, traces\nstock_save(traces(1, name='Yb'), 'minian_intermediate')")
    shell.run("%unload_ext minian_vc")
    assert not (folder / ".minian_vc").exists()
    assert opened(folder).show().array("Yb").bytes_kept


def test_zarr_folders_that_are_not_minians_are_left_alone(notebook: Shell, folder: Path) -> None:
    """Making and removing some other thing.zarr makes no repository."""
    notebook.run(
        "import pathlib, shutil; pathlib.Path('other.zarr/x').mkdir(parents=True); shutil.rmtree('other.zarr')"
    )
    notebook.run("pathlib.Path('third.zarr/x').mkdir(parents=True)")
    assert notebook.err == ""
    assert not (folder / ".minian_vc").exists()
    assert not (folder.parent / ".minian_vc").exists()


def test_nothing_of_ours_is_in_the_dataset(notebook: Shell, folder: Path) -> None:
    """Only the array's folder."""
    notebook.run("stock_save(traces(1), intpath)")
    assert [path.name for path in (folder / "minian_intermediate").iterdir()] == ["C.zarr"]


def test_after_unloading_nothing_is_recorded(folder: Path) -> None:
    """And the shell is as it was."""
    shell = Shell()
    shell.run("%load_ext minian_vc")
    shell.run("from shells import stock_save, traces\nstock_save(traces(1), 'minian_intermediate')")
    shell.run("%unload_ext minian_vc")
    shell.run("stock_save(traces(2), 'minian_intermediate')")
    assert values(opened(folder)) == [1.0]
    assert "mvc" not in shell.shell.magics_manager.magics["line"]


def test_a_restore_in_the_notebook_is_no_new_dataset(notebook: Shell, folder: Path) -> None:
    """What we ourselves make and remove in our own folders is not watched."""
    notebook.run("stock_save(traces(1), intpath)")
    notebook.run("stock_save(traces(2), intpath)")
    notebook.run("%mvc restore C@latest~1")
    assert values(opened(folder)) == [1.0, 2.0, 1.0]
    assert [row.path for row in opened(folder).repository.datasets()] == ["minian_intermediate"]


def test_a_forked_process_does_not_record(notebook: Shell, folder: Path) -> None:
    """A child inherits the audit hook, and the catalog is not its business."""
    notebook.run("stock_save(traces(1), intpath)")
    notebook.run(
        "import os, shutil\nchild = os.fork()\n"
        "if child == 0:\n    shutil.rmtree(intpath + '/C.zarr')\n    os._exit(0)\n"
        "status = os.waitpid(child, 0)[1]"
    )
    assert notebook["status"] == 0
    assert len(opened(folder).history()) == 1


def test_loading_costs_no_heavy_import(folder: Path) -> None:
    """%load_ext before the first save does not import xarray, zarr or dask."""
    code = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell()\n"
        "shell.run_cell('%load_ext minian_vc')\n"
        "print([name for name in ('xarray', 'zarr', 'dask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_a_dataset_that_goes_away_is_no_error(notebook: Shell, folder: Path) -> None:
    """The user removes the whole folder to begin anew."""
    notebook.run("stock_save(traces(1), intpath)")
    notebook.run("import shutil; shutil.rmtree(intpath)")
    assert notebook.err == ""
    notebook.run("stock_save(traces(2), intpath)")
    assert values(opened(folder)) == [1.0, 2.0]
