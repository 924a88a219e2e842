"""Commands that keep a repository healthy: verify, repair, rebuild."""

from __future__ import annotations

import os
import shlex

import click

from minian_vc.cli.output import as_json, print_json
from minian_vc.cli.targets import current_folder
from minian_vc.errors import DamagedError
from minian_vc.health.rebuild import rebuild as rebuild_at
from minian_vc.health.repair import repair as repair_at
from minian_vc.health.verify import verify as verify_at

__all__ = ["COMMANDS"]

path_argument = click.argument("path", default=".")
quick_option = click.option("--quick", is_flag=True, help="Do not read the chunk objects.")


@click.command()
@path_argument
@quick_option
@click.option("--restart", is_flag=True, help="Read everything, also what an interrupted run has read.")
@as_json
def verify(path: str, quick: bool, restart: bool, json_: bool) -> int:
    """Look whether everything that was recorded is there, and is what was recorded.

    All datasets of the repository at or above PATH are looked at, and nothing is changed. Every object is read. If it
    is stopped, run it again to go on. The exit code is 6 if something is damaged.
    """
    try:
        report = verify_at(current_folder() / path, quick=quick, restart=restart)
    except KeyboardInterrupt:
        click.echo("Stopped. Run the same command again to go on from here.", err=True)
        raise
    if json_:
        print_json(report.to_dict())
    else:
        click.echo(repr(report))
        if not report.whole:
            click.echo(f"To see what can be healed: {_command('repair', path, quick)}")
    return 0 if report.whole else DamagedError.exit_code


@click.command()
@path_argument
@quick_option
@click.option("-y", "--yes", is_flag=True, help="Do it; without, it is only said what would be done.")
@as_json
def repair(path: str, quick: bool, yes: bool, json_: bool) -> int:
    """Heal what is damaged in the repository at or above PATH, where a copy is found.

    Without --yes nothing is changed. What is bad is moved into .minian_vc/quarantine, never removed. The exit code is 6
    if something is or stays damaged.
    """
    done = repair_at(current_folder() / path, quick=quick, dry_run=not yes)
    if json_:
        print_json(done.to_dict())
    else:
        click.echo(repr(done))
        if done.dry_run and done.healed:
            click.echo(f"Nothing was changed. To do it: {_command('repair', path, quick)} --yes")
    return 0 if done.whole else DamagedError.exit_code


@click.command()
@path_argument
@as_json
def rebuild(path: str, json_: bool) -> None:
    """Make the catalog of the repository at or above PATH anew, out of the history alone.

    It is the same again: tags, times and order. A copy of the old one is kept.
    """
    done = rebuild_at(current_folder() / path)
    if json_:
        print_json(done.to_dict())
    else:
        click.echo(repr(done))


def _command(name: str, path: str, quick: bool) -> str:
    """Return a command as it is to be typed."""
    place = "" if path == os.curdir else f" {shlex.quote(path)}"
    return f"minian-vc {name}{place}{' --quick' if quick else ''}"


COMMANDS = (verify, repair, rebuild)
