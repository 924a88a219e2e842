"""%mvc: the commands on the watched dataset, returning what a notebook shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import shells
from shells import Shell, stock_save, traces

import minian_vc as mvc
from minian_vc.errors import InvalidInputError
from minian_vc.notebook.magics import split
from minian_vc.notebook.recorder import MOVIES

folder, notebook = shells.folder, shells.notebook


@pytest.fixture
def saved(notebook: Shell) -> Shell:
    """Two iterations; the first is tagged in the cell that saved it."""
    notebook.run(
        "chk = {'frame': 10}; param_first = {'p': 1}\nstock_save(traces(1), intpath)\n%mvc tag first_iteration"
    )
    notebook.run("param_first = {'p': 2}\nstock_save(traces(2), intpath)")
    return notebook


def test_log_is_a_dataframe(saved: Shell) -> None:
    """Newest first."""
    log = saved.run("%mvc log")
    assert log["tags"].tolist() == [(), ("first_iteration",)]
    assert len(saved.run("%mvc log -n 1")) == 1


def test_operations_are_a_dataframe_too(saved: Shell) -> None:
    """As the errors of undo advise."""
    log = saved.run("%mvc log --operations")
    assert log["action"].tolist() == ["commit", "tag", "commit"]
    assert log["checkpoint"].str.len().tolist() == [10, 10, 10]


def test_tables_are_plain_text(saved: Shell) -> None:
    """No escape codes of a terminal, and nothing displayed beside."""
    saved.run("%mvc du")
    assert "checkpoint" in saved.out
    assert "\x1b" not in saved.out


def test_tag_names_what_the_cell_itself_saved(saved: Shell) -> None:
    """Not the checkpoint before it."""
    assert "first_iteration" in saved.run("%mvc show first_iteration").tags
    value = saved.run("import minian_vc as mvc\nmvc.open(intpath)['C@first_iteration'].values.flat[0]")
    assert value == 1.0


def test_restore_brings_back_a_version(saved: Shell, folder: Path) -> None:
    """And what was there is in history."""
    restored = saved.run("%mvc restore C@first_iteration")
    assert restored.arrays == ("C",)
    assert mvc.open_minian(folder / "minian_intermediate")["C"].values.flat[0] == 1.0
    saved.run("%mvc restore C@first_iteration --as C_first_iteration")
    assert (folder / "minian_intermediate" / "C_first_iteration.zarr").is_dir()


def test_check_diff_and_show_return_what_python_returns(saved: Shell) -> None:
    """A notebook shows them as HTML."""
    assert isinstance(saved.run("%mvc check"), mvc.CheckReport)
    assert saved.run("%mvc check @first_iteration").grade == "aligned"
    changes = saved.run("%mvc diff first_iteration latest")
    assert [change.state for change in changes] == ["modified"]
    assert dict(changes.params) == {"param_first.p": (1, 2)}
    assert isinstance(saved.run("%mvc show"), mvc.Checkpoint)


def test_resume_sets_the_variables(saved: Shell) -> None:
    """A, C, S … and chk, as they were."""
    saved.run("del chk\nC = None")
    saved.run("%mvc resume first_iteration")
    assert saved["C"].values.flat[0] == 1.0
    assert saved["chk"] == {"frame": 10}
    assert "C, chk" in saved.out


def test_other_commands_go_to_the_command_line(saved: Shell) -> None:
    """With the watched dataset as theirs."""
    saved.run("%mvc chk")
    assert saved.out == "chk = {'frame': 10}\n"
    saved.run("%mvc status")
    assert "Nothing changed" in saved.out


def test_mistakes_are_said_without_a_traceback(saved: Shell) -> None:
    """A wrong tag, a wrong command, no command."""
    saved.run("%mvc show second_iteration")
    assert saved.err.startswith("Error: ")
    assert "Traceback" not in saved.err + saved.out
    saved.run("%mvc frobnicate")
    assert "No such command" in saved.err
    saved.run("%mvc")
    assert "resume" in saved.out
    saved.run("%mvc --help")
    assert "resume" in saved.out


def test_a_dataset_can_be_named(saved: Shell, folder: Path) -> None:
    """-d; and watch, for one that this notebook has not saved to."""
    saved.run("stock_save(traces(5, name='A'), 'other/minian')\nNone")
    assert len(saved.run("%mvc log -d minian_intermediate")) == 2
    assert len(saved.run("%mvc log")) == 1


def test_watch_records_what_is_there(notebook: Shell, folder: Path) -> None:
    """A dataset that somebody else writes to; a repository made for it leaves movies out, and that is said."""
    notebook.run("%unload_ext minian_vc")
    stock_save(traces(1), folder / "minian_intermediate")
    stock_save(traces(1, name="Yb"), folder / "minian_intermediate")
    notebook.run("%load_ext minian_vc")
    notebook.run("%mvc watch minian_intermediate")
    assert notebook.err.count("without their bytes") == 1
    assert len(notebook.run("%mvc log")) == 1
    assert mvc.open("minian_intermediate").repository.config.record_without_bytes == MOVIES
    assert not mvc.open("minian_intermediate").show().array("Yb").bytes_kept


def test_watching_what_is_no_dataset_is_refused_and_makes_nothing(notebook: Shell, folder: Path) -> None:
    """A path with a mistake in it."""
    notebook.run("%mvc watch minian_intermediat")
    assert notebook.err.startswith("Error: ")
    assert "minian_intermediat has no arrays" in notebook.err
    assert list(folder.iterdir()) == []


def test_a_quotation_mark_without_a_partner_is_said_without_a_traceback(notebook: Shell) -> None:
    """An apostrophe."""
    notebook.run("%mvc tag it's")
    assert notebook.err.startswith("Error: tag it's: a quotation mark has no partner")
    assert "Traceback" not in notebook.err + notebook.out


def test_a_line_is_split_as_by_a_shell() -> None:
    """Quotation marks and comments everywhere; a backslash is part of a path on Windows."""
    line = r"""commit C:\data\m1 -m "two words" --param note='a b'  # not this"""
    rest = ["-m", "two words", "--param", "note=a b"]
    assert split(line, escape="") == ["commit", r"C:\data\m1", *rest]
    assert split(line, escape="\\") == ["commit", "C:datam1", *rest]
    assert split(r'"C:\my data\m1"', escape="") == [r"C:\my data\m1"]
    with pytest.raises(InvalidInputError):
        split('"C:', escape="")


def test_a_disk_that_refuses_is_said_without_a_traceback(saved: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the command itself."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(mvc.Dataset, "log", refuse)
    saved.run("%mvc log")
    assert saved.err == "Error: [Errno 116] Stale file handle\n"
