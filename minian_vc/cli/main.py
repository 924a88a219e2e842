"""The command group, and how errors reach the user."""

from __future__ import annotations

import os
import sys
import traceback

import click

from minian_vc.cli import check, doctor, du, export, health, look, maintain, record
from minian_vc.cli.demo import demo
from minian_vc.cli.output import print_error
from minian_vc.errors import MinianVCError, StorageError
from minian_vc.version import __version__

__all__ = ["cli", "main"]

ABORTED = "Aborted; nothing was changed."
INTERRUPTED = "Interrupted. No dataset is half changed; what was recorded before is there: minian-vc log --operations"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="minian-vc")
def cli() -> None:
    """Checkpoints for MiniAn: version control for a folder of zarr arrays.

    SPEC is ARRAY@REV, @REV (all arrays) or C_first_iteration. REV is a tag, the beginning of an id, latest
    or latest~2. DATASET is a path; left out, it is the current folder's dataset or the repository's only one.

    Exit codes: 0 done; 1 there are findings; 2 usage; 3 refused or failed, nothing changed; 4 not found;
    5 busy; 6 damaged; 7 environment unfit.
    """


for command in (
    *record.COMMANDS,
    *look.COMMANDS,
    *check.COMMANDS,
    *export.COMMANDS,
    *doctor.COMMANDS,
    *maintain.COMMANDS,
    *du.COMMANDS,
    *health.COMMANDS,
    demo,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        result = cli.main(given, prog_name="minian-vc", standalone_mode=False)
    except click.exceptions.Abort as abort:  # by Ctrl-C, or by an answer
        click.echo(INTERRUPTED if isinstance(abort.__cause__, KeyboardInterrupt) else ABORTED, err=True)
        sys.exit(3)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MinianVCError as error:
        print_error(error, as_json="--json" in given)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # minian-vc log | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        print_error(StorageError(f"{error}."), as_json="--json" in given)
        sys.exit(StorageError.exit_code)
    except Exception:  # a fault of ours: exit code 1 would mean findings
        traceback.print_exc()
        click.echo("This is a fault in minian_vc; please report it with the lines above.", err=True)
        sys.exit(3)
    sys.exit(result if isinstance(result, int) else 0)
