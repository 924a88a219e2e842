"""A dataset with one checkpoint, made once for many tests that only export it."""

from __future__ import annotations

import shutil
from pathlib import Path

import minian_vc as mvc

TAG = "stage-02-first-temporal"
PLACE = "mouse1/session1/minian_intermediate"


def commit_one_stage(stages: Path, folder: Path) -> mvc.Dataset:
    """Copy what MiniAn left after the first temporal update to a folder, and record it."""
    mvc.Repository.create(folder)
    shutil.copytree(stages / TAG / PLACE, folder / PLACE)
    recorded = mvc.open(folder / PLACE)
    recorded.commit(TAG, tag=TAG)
    return recorded
