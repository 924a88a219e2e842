"""The oracle itself: what it says of padding is what lies in the opened arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("minian", reason="MiniAn is not installed: it has an environment of its own")

import built_cases
import built_damages
import built_mf_cases
import oracle
from registry import CASES, MF_CASES

MODULES = (built_cases, built_damages, built_mf_cases)
OF_VALUES = ("units_", "frames_", "pixels_", "labels_", "dtype_", "no_units", "dim_without")
"""Cases of which every stored value is there and is no NaN."""


def nothing_there(array: xr.DataArray) -> int:
    """Count the positions of an array that hold NaN or NaT."""
    with oracle.quiet():
        return int(array.isnull().sum())


def check_padding(path: Path, observed: dict[str, Any], opened: xr.Dataset) -> int:
    """Compare padded_values with the NaN in the computed arrays; return how many arrays were padded."""
    for name, array in observed["arrays"].items():
        assert array["padded_values"] == nothing_there(opened[name]), name
        assert array["nbytes"] == np.prod(array["shape"]) * opened[name].dtype.itemsize
    return sum(array["padded"] for array in observed["arrays"].values())


def test_padding_is_what_is_filled_in(tmp_path: Path, stages: Path) -> None:
    """padded_values, made from shapes on disk, is the number of NaN in the arrays."""
    padded = 0
    for name in (name for name in CASES if name.startswith(OF_VALUES)):
        with oracle.quiet():
            path = CASES[name].build(tmp_path / name, stages)
        observed = oracle.observe(path)["merge"]
        if observed["status"] == "ok":
            with oracle.quiet():
                padded += check_padding(path, observed, oracle.minian().open_minian(str(path)))
    assert padded > 30


SPOILT = {"saved_onto_itself_in_a_session"}
"""Cases with NaN on disk."""


def test_padding_across_datasets_is_what_is_filled_in(tmp_path: Path, stages: Path) -> None:
    """The same for open_minian_mf."""
    padded = 0
    for name, case in MF_CASES.items():
        if name in SPOILT:
            continue
        with oracle.quiet():
            path = case.build(tmp_path / name, stages)
        observed = oracle.observe_mf(path, case.index_dims, case.pattern)["open_minian_mf"]
        if observed["status"] == "ok":
            with oracle.quiet():
                opened = oracle.minian().open_minian_mf(str(path), list(case.index_dims), pattern=case.pattern)
                padded += check_padding(path, observed, opened)
    assert padded > 50


def test_the_cases_are_many_and_explained() -> None:
    """There are as many cases as were asked for, and each has a sentence."""
    assert len(CASES) > 140
    assert len(MF_CASES) > 35
    for case in [*CASES.values(), *MF_CASES.values()]:
        assert case.text.endswith("."), case.name
