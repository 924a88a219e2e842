"""What ``minian_vc.check`` predicts is what the real MiniAn does, on built folders and on folders made by chance.

A prediction of "ok" or "error" must be exactly right. "unknown" is never wrong, but it must be rare.
``MINIAN_VC_RANDOM_CASES=3000 pytest tests/prediction -n 2`` tries more seeds; two fifths as many folders of datasets.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("minian", reason="MiniAn is not installed: it has an environment of its own")

import built_cases
import built_damages
import built_mf_cases
from comparing import DATASET_KINDS, MF_KINDS, count_unknown, differences, form_problems
from oracle import observe, observe_mf, quiet
from random_folders import random_dataset, random_root
from registry import CASES, MF_CASES, Case

import minian_vc as mvc
from minian_vc.errors import InvalidInputError, NotFoundError

MODULES = (built_cases, built_damages, built_mf_cases)
"""Importing these registers their cases."""

DATASETS = int(os.environ.get("MINIAN_VC_RANDOM_CASES", "300"))
ROOTS = DATASETS * 2 // 5
MOST_UNKNOWN = 0.05

pytestmark = pytest.mark.skipif(not hasattr(mvc, "check"), reason="minian_vc.check is not there yet")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that is removed at once: there are very many."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def build(case: Case, place: Path, stages: Path) -> Path:
    """Build a case; return the path that is to be opened."""
    with quiet():
        return case.build(place, stages)


def predict(path: Path, index_dims: tuple[str, ...] = (), pattern: str = "") -> dict[str, Any] | None:
    """Ask minian_vc what MiniAn will do; None where it refuses, since there is nothing to be opened."""
    options = {"index_dims": list(index_dims), "pattern": pattern} if index_dims else {}
    try:
        report = mvc.check(path, **options)
    except (NotFoundError, InvalidInputError):
        return None
    return report.to_dict()["prediction"]


def compare(name: str, prediction: dict[str, Any] | None, observed: dict[str, Any]) -> None:
    """Fail, with a line for each difference, where a prediction is not what was observed.

    Where minian_vc refuses, MiniAn must fail too.
    """
    if prediction is None:
        found = [f"{kind}: refused, observed ok" for kind, seen in observed.items() if seen["status"] == "ok"]
    else:
        found = form_problems(prediction, observed) or differences(prediction, observed)
    if found:
        pytest.fail("\n  ".join([f"{name}:", *found]), pytrace=False)


def few_unknown(predictions: dict[str, dict[str, Any] | None], kinds: tuple[str, ...]) -> None:
    """Fail, with their names, where too many predictions are unknown."""
    predictions = {name: one for name, one in predictions.items() if one is not None}
    most = MOST_UNKNOWN * len(predictions)
    unknown = count_unknown(predictions, kinds)
    found = [
        f"{kind}: {len(names)} of {len(predictions)} unknown: {', '.join(names)}"
        for kind, names in unknown.items()
        if len(names) >= most
    ]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_few_built_datasets_are_unknown(place: Path, stages: Path) -> None:
    """Of all built datasets whose outcome does not vary, less than 5 % may be predicted as unknown."""
    predictions = {}
    for name, case in CASES.items():
        if not case.varies:
            predictions[name] = predict(build(case, place / name, stages))
            shutil.rmtree(place / name)
    few_unknown(predictions, DATASET_KINDS)


def test_few_built_roots_are_unknown(place: Path, stages: Path) -> None:
    """Of all built folders of datasets, less than 5 % may be predicted as unknown."""
    predictions = {}
    for name, case in MF_CASES.items():
        if not case.varies:
            path = build(case, place / name, stages)
            predictions[name] = predict(path, case.index_dims, case.pattern)
            shutil.rmtree(place / name)
    few_unknown(predictions, MF_KINDS)


@pytest.mark.parametrize("name", CASES)
def test_a_built_dataset_opens_as_predicted(name: str, place: Path, stages: Path) -> None:
    """What is predicted of a dataset folder is what open_minian does with it."""
    path = build(CASES[name], place, stages)
    compare(name, predict(path), observe(path))


@pytest.mark.parametrize("name", MF_CASES)
def test_built_datasets_open_together_as_predicted(name: str, place: Path, stages: Path) -> None:
    """What is predicted of a folder of datasets is what open_minian_mf does with it."""
    case = MF_CASES[name]
    path = build(case, place, stages)
    compare(name, predict(path, case.index_dims, case.pattern), observe_mf(path, case.index_dims, case.pattern))


@pytest.mark.parametrize("seed", range(DATASETS))
def test_a_random_dataset_opens_as_predicted(seed: int, place: Path) -> None:
    """The same for dataset folders made by chance."""
    with quiet():
        path = random_dataset(seed, place / "minian")
    compare(f"seed {seed}", predict(path), observe(path))


@pytest.mark.parametrize("seed", range(ROOTS))
def test_random_datasets_open_together_as_predicted(seed: int, place: Path) -> None:
    """The same for folders of datasets made by chance."""
    root = place / "lab"
    with quiet():
        index_dims, pattern = random_root(seed, root)
    compare(f"seed {seed}", predict(root, index_dims, pattern), observe_mf(root, index_dims, pattern))
