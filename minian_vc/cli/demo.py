"""demo: the whole story on a small real MiniAn dataset."""

from __future__ import annotations

import click


@click.command()
def demo() -> None:
    """Walk through commit, history and restore on a small real MiniAn dataset."""
