"""The end of a real MiniAn run, committed once for all tests of a module: they only read it."""

from __future__ import annotations

from pathlib import Path

from conftest import INTERMEDIATE, put_stage

import minian_vc as mvc

LAST = "stage-05-second-temporal"  # A and YrA have one unit more than C, S, b0 and c0


def commit_last_stage(stages: Path, root: Path) -> mvc.Dataset:
    """Make a repository in ``root``, and in it a dataset with one checkpoint, whose tag is ``LAST``."""
    mvc.Repository.create(root)
    put_stage(stages, LAST, root)
    dataset = mvc.open(root / INTERMEDIATE)
    dataset.commit(LAST, tag=LAST)
    return dataset
