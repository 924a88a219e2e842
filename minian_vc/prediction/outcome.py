"""What came of it: does it open, and if so, as what."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minian_vc.prediction.aligning import Join
from minian_vc.prediction.concatenating import concat_nested, key_of
from minian_vc.prediction.merging import merge
from minian_vc.prediction.model import Bundle, Fails, Unsure, Variable

__all__ = ["LoadedArray", "Opened", "Outcome", "predict_dict", "predict_merge", "predict_sessions"]

Opened = Bundle | Fails | Unsure
Status = Literal["ok", "error", "unknown"]


@dataclass(frozen=True, slots=True)
class LoadedArray:
    """An array as loading would give it: ``padded_values`` of its values are NaN that was filled in."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    padded: bool
    padded_values: int
    nbytes: int

    @classmethod
    def of(cls, variable: Variable) -> LoadedArray:
        """Describe a variable of the result."""
        nbytes = math.prod(variable.shape) * variable.dtype.itemsize
        padding = variable.size - variable.present
        return cls(variable.dims, variable.shape, variable.dtype.name, variable.padded, padding, nbytes)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``check --json`` prints it."""
        names = ("padded", "padded_values", "nbytes")
        return {
            "dims": [str(dim) for dim in self.dims],
            "shape": list(self.shape),
            "dtype": self.dtype,
            **{name: getattr(self, name) for name in names},
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way of loading would do: ``error`` is the exception's class name, ``why`` says it in words."""

    status: Status
    error: str | None = None
    why: tuple[str, ...] = ()
    arrays: Mapping[str, LoadedArray] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``check --json`` prints it."""
        arrays = {name: array.to_json() for name, array in self.arrays.items()}
        return {"status": self.status, "error": self.error, "why": list(self.why), "arrays": arrays}


def predict_dict(opened: Sequence[Opened]) -> Outcome:
    """Predict ``open_minian(return_dict=True)``: each array as it is, the last of a name."""
    return _outcome(lambda: {name: variable for bundle in _all(opened) for name, variable in bundle.data.items()})


def predict_merge(opened: Sequence[Opened], join: Join = "outer") -> tuple[Outcome, Opened]:
    """Predict ``open_minian``, and return the merged dataset or what prevents it as well."""
    try:
        merged: Opened = merge(_all(opened), join)
    except (Fails, Unsure) as problem:
        merged = problem
    return _outcome(lambda: _all([merged])[0].data), merged


def predict_sessions(datasets: Sequence[tuple[str, Opened]], index_dims: Sequence[str]) -> Outcome:
    """Predict ``open_minian_mf`` from merged datasets in the order in which it opens them."""

    def load() -> Mapping[str, Variable]:
        by_key = {}
        for path, opened in datasets:
            try:
                (bundle,) = _all([opened])
                by_key[key_of(bundle, index_dims)] = bundle
            except Fails as failure:
                raise Fails(failure.error, f"{path}: {failure.why}") from None
            except Unsure as doubt:
                raise Unsure(f"{path}: {doubt.why}") from None
        return concat_nested(by_key, index_dims).data

    return _outcome(load)


def _all(opened: Sequence[Opened]) -> list[Bundle]:
    """Return the bundles, or raise the first problem: so does opening."""
    for each in opened:
        if isinstance(each, Exception):
            raise each
    return [each for each in opened if isinstance(each, Bundle)]


def _outcome(load: Callable[[], Mapping[str, Variable]]) -> Outcome:
    try:
        data = load()
    except Fails as failure:
        return Outcome("error", failure.error, (failure.why,))
    except Unsure as doubt:
        return Outcome("unknown", None, (doubt.why,))
    return Outcome("ok", arrays={name: LoadedArray.of(variable) for name, variable in data.items()})
