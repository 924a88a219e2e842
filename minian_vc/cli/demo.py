"""demo: the whole story on a small real MiniAn dataset."""

from __future__ import annotations

import contextlib
import filecmp
import shlex
import shutil
import tarfile
import tempfile
from pathlib import Path

import click

from minian_vc.errors import DamagedError, InvalidInputError

__all__ = ["demo"]

DATA = Path(__file__).with_name("demo.tar.xz")
STEPS = (  # what MiniAn left on disk, and what its user would say
    ("01-first-spatial", "first_spatial", "after the first spatial update"),
    ("02-first-temporal", "first_iteration", "after the first temporal update"),
    ("05-second-temporal", "second_iteration", "after merging and the second update"),
)


@click.command()
@click.argument("folder", required=False)
@click.pass_context
def demo(context: click.Context, folder: str | None) -> None:
    """Walk through commit, history and restore on a small real MiniAn dataset.

    It is unpacked into FOLDER, which must be new or empty (default: a temporary folder, which stays).
    """
    root = _empty_folder(folder)
    source, lab = root / "as-minian-left-it", root / "lab"
    dataset = lab / "mouse1/session1/minian_intermediate"
    lab.mkdir()
    with tarfile.open(DATA) as archive:
        archive.extractall(source, filter="data")
    with contextlib.chdir(lab):
        _walk(context, source, dataset)
    _compare(source / "02-first-temporal", dataset)
    click.echo(f"\nEvery file is byte for byte what MiniAn wrote. Look around in {lab}")


def _walk(context: click.Context, source: Path, dataset: Path) -> None:
    def run(line: str) -> None:
        click.secho(f"\n$ minian-vc {line}", bold=True)
        context.find_root().command.main(shlex.split(line), standalone_mode=False)

    click.echo("Two CNMF iterations of one small recording. MiniAn overwrites A, C, S, b and f in each.")
    run("init")
    for stage, tag, message in STEPS:
        click.echo(f"\n# MiniAn saves its arrays {message}.")
        shutil.rmtree(dataset, ignore_errors=True)
        shutil.copytree(source / stage, dataset)
        run(f"commit -t {tag} -m '{message}'")
    click.echo("\n# C and S of the first iteration are gone from the folder. They are in the history:")
    run("log")
    run("units")
    run("diff @first_spatial @first_iteration")
    click.echo("\n# Bring C of the first iteration back under its own name, beside today's C:")
    run("restore C@first_iteration --as C_first_iteration --yes")
    click.echo("\n# And the whole folder, exactly as it was then:")
    run("restore @first_iteration --yes")


def _empty_folder(folder: str | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="minian-vc-demo-"))
    path = Path(folder).resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InvalidInputError(f"{path} is not an empty folder.", "Nothing was written. Name a new one.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _compare(expected: Path, found: Path) -> None:
    names = {path.relative_to(expected).as_posix() for path in expected.rglob("*") if path.is_file()}
    others = {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()}
    _, differing, missing = filecmp.cmpfiles(expected, found, sorted(names | others), shallow=False)
    if differing or missing:
        raise DamagedError(f"The demo did not restore what was recorded: {', '.join([*differing, *missing][:5])}.")
