"""The command line: ``minian-vc``, alias ``mvc``."""

from minian_vc.cli.main import main

__all__ = ["main"]
