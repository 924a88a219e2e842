"""``%mvc``: the command line's commands on the watched dataset, returning what a notebook can show."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minian_vc.cli.main import cli
from minian_vc.cli.provenance import wanted
from minian_vc.cli.targets import dataset_option, find_dataset
from minian_vc.dataset import Dataset, open_dataset
from minian_vc.diff import Diff
from minian_vc.errors import InvalidInputError, MinianVCError
from minian_vc.model import Checkpoint
from minian_vc.notebook.recorder import Recorder
from minian_vc.text import short
from minian_vc.verbs.report import CheckReport
from minian_vc.verbs.restore import Restored

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Magics", "split"]

ESCAPE = "" if os.name == "nt" else "\\"  # C:\data\m1 is a path there


class Magics:
    """``%mvc`` in one shell."""

    def __init__(self, shell: Any, recorder: Recorder) -> None:
        self._shell = shell
        self._recorder = recorder

    def mvc(self, line: str) -> Any:
        """Look at and use the checkpoints of the watched dataset: ``%mvc --help``.

        Commands that are not listed there go to the command line: ``%mvc doctor``.
        """
        try:
            words = split(line) or ["--help"]
            self._recorder.record_changes(look_again=True)  # what this cell has saved so far
            if words[0].startswith("-") or words[0] in group.commands:
                shown = group.main(words, prog_name="%mvc", standalone_mode=False, obj=self)
                return None if isinstance(shown, int) else shown  # an exit code, of --help
            cli.main(words, prog_name="%mvc", standalone_mode=False, obj=self._recorder.current())
        except click.ClickException as error:
            error.show()
        except (MinianVCError, OSError) as error:
            click.echo(f"Error: {error}", err=True)
        return None

    def dataset(self, path: str | None) -> Dataset:
        """Return the dataset that is meant: the path's, the watched one, or what the command line would take."""
        if path is not None:
            return open_dataset(path)
        return self._recorder.current() or find_dataset(None)

    def watch(self, path: str) -> None:
        """Watch a dataset and record it as it is."""
        self._recorder.watch_by_hand(Path(path).resolve())

    def put(self, variables: dict[str, Any]) -> None:
        """Set variables of the notebook."""
        self._shell.push(variables)


def split(line: str, escape: str = ESCAPE) -> list[str]:
    """Return the words of a line as a shell takes them, up to a comment.

    Raises
    ------
    InvalidInputError
        A quotation mark has no partner.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.escape = True, escape
    try:
        return list(lexer)
    except ValueError:
        raise InvalidInputError(
            f"{line.strip()}: a quotation mark has no partner.",
            """Nothing was done. Put a text that holds one between those of the other kind: -m "it's done".""",
        ) from None


@click.group(epilog="The other commands of minian-vc work too, on the same dataset: tag, status, commit, chk, units, …")
def group() -> None:
    """Checkpoints of the dataset that this notebook saves to.

    What the notebook saves is recorded by itself after each cell. Without -d, a command works on the dataset that was
    recorded last. Give the last checkpoint a name: %mvc tag NAME
    """


@group.command()
@click.option("-n", "number", type=click.IntRange(min=1), help="The newest N.")
@click.option("--array", help="Those that recorded a new version of this array.")
@click.option("--manual", is_flag=True, help="Leave out automatic checkpoints.")
@click.option("--param", "params", multiple=True, metavar="K[=V]", help="Those with this parameter.")
@click.option("--operations", is_flag=True, help="What was done instead: commits, tags, restores, prunes and undos.")
@dataset_option
@click.pass_obj
def log(
    magics: Magics,
    number: int | None,
    array: str | None,
    manual: bool,
    params: tuple[str, ...],
    operations: bool,
    dataset: str | None,
) -> pd.DataFrame:
    """The checkpoints, newest first, as a DataFrame."""
    if operations:
        done = magics.dataset(dataset).operations(number)
        return done.assign(checkpoint=done["checkpoint"].map(short), created_at=done["created_at"].dt.floor("s"))
    found = magics.dataset(dataset).log(number, array, manual=manual, params=wanted(params))
    found["id"] = found["id"].map(short)
    found["created_at"] = found["created_at"].dt.floor("s")
    return found[["id", "tags", "message", "created_at", "arrays", "automatic"]]


@group.command()
@click.argument("revision", default="latest")
@dataset_option
@click.pass_obj
def show(magics: Magics, revision: str, dataset: str | None) -> Checkpoint:
    """A checkpoint with its arrays, parameters and cell."""
    return magics.dataset(dataset).show(revision)


@group.command()
@click.argument("old")
@click.argument("new", required=False)
@dataset_option
@click.pass_obj
def diff(magics: Magics, old: str, new: str | None, dataset: str | None) -> Diff:
    """What changed between two checkpoints, or since one."""
    return magics.dataset(dataset).diff(old, new)


@group.command()
@click.argument("specs", nargs=-1)
@dataset_option
@click.pass_obj
def check(magics: Magics, specs: tuple[str, ...], dataset: str | None) -> CheckReport:
    """What loading would do, of the folder or of versions: @first_iteration."""
    return magics.dataset(dataset).check(*specs)


@group.command()
@click.argument("specs", nargs=-1, required=True)
@click.option("--as", "as_", help="Another name for the one array.")
@click.option("--to", help="Write into this folder and leave the dataset alone.")
@dataset_option
@click.pass_obj
def restore(magics: Magics, specs: tuple[str, ...], as_: str | None, to: str | None, dataset: str | None) -> Restored:
    """Bring versions back into the folder: C@first_iteration, or @first_iteration for all."""
    return magics.dataset(dataset).restore(*specs, as_=as_, to=to)


@group.command()
@click.argument("revision", default="latest")
@click.argument("arrays", nargs=-1)
@dataset_option
@click.pass_obj
def resume(magics: Magics, revision: str, arrays: tuple[str, ...], dataset: str | None) -> None:
    """Set A, C, S … and chk in the notebook as they were at a checkpoint, on common units."""
    found = magics.dataset(dataset).resume(revision, arrays or None)
    magics.put(dict(found))
    click.echo(f"Set: {', '.join(found)}.")


@group.command()
@click.argument("path")
@click.pass_obj
def watch(magics: Magics, path: str) -> None:
    """Watch a dataset that this notebook has not saved to."""
    magics.watch(path)
