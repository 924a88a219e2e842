"""What goes out: arrays of one checkpoint on common units, lazy, and who they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError
from minian_vc.model import ArrayVersion, Checkpoint
from minian_vc.zarr_format import EXPORTED

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KEY", "Bundle", "attributes_of", "identity_of", "without_provenance"]

KEY = EXPORTED  # the identity's name inside an export


@dataclass(frozen=True)
class Bundle:
    """Arrays of one checkpoint, checked and opened together.

    Attributes
    ----------
    together : xarray.Dataset
        Lazy: dask-backed with the stored chunks; arrays with ``unit_id`` are on their common units, in one order.
        Its one attribute is ``left_out``, if units were left out.
    identity : dict
        Plain JSON: what :func:`identity_of` gives.
    """

    together: xr.Dataset
    identity: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The arrays' names, as they were recorded."""
        return [str(name) for name in self.together.data_vars]

    @property
    def only(self) -> xr.DataArray:
        """The one array, for what takes no more.

        Raises
        ------
        InvalidInputError
            There are several.
        """
        if len(self.names) > 1:
            raise InvalidInputError(
                f"A table or npy file holds one array, and {', '.join(self.names)} are to go out.",
                f"Nothing was written. Name one of them, as in {self.names[0]}@REV",
            )
        return self.together[self.names[0]]

    @cached_property
    def text(self) -> str:
        """The identity as JSON, the same each time; ASCII, for not every reader of every format knows more."""
        return _text(self.identity)

    @property
    def attributes(self) -> dict[str, str]:
        """The identity as text attributes, for formats that have some: all of it, and what people look for first."""
        return attributes_of(self.identity)


def identity_of(checkpoint: Checkpoint, arrays: Sequence[ArrayVersion], dataset: str) -> dict[str, Any]:
    """Return who some arrays of a checkpoint are: plain JSON that does not depend on when or where it is exported.

    Parameters
    ----------
    checkpoint : Checkpoint
        The checkpoint.
    arrays : sequence of ArrayVersion
        Those that go out.
    dataset : str
        The dataset's path below the repository's root.
    """
    return {
        "checkpoint": checkpoint.id,
        "tags": sorted(checkpoint.tags),
        "message": checkpoint.message,
        "author": checkpoint.author,
        "created_at": checkpoint.created_at,
        "dataset": dataset,
        "session": _common(array.session for array in checkpoint.arrays),  # MiniAn gives it to a few arrays only
        "animal": _common(array.animal for array in checkpoint.arrays),
        "arrays": {array.name: _array(array) for array in arrays},
        "provenance": dict(checkpoint.provenance),
    }


def attributes_of(identity: Mapping[str, Any]) -> dict[str, str]:
    """Return an identity as text attributes; see :attr:`Bundle.attributes`."""
    shown = {name: identity[name] for name in ("checkpoint", "session", "animal")}
    if identity.get("tags"):
        shown["tag"] = ", ".join(identity["tags"])
    return {KEY: _text(identity), **{name: str(value) for name, value in shown.items() if value is not None}}


def without_provenance(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity without what tells of people and computers: author, host, folders, code."""
    return {name: value for name, value in identity.items() if name not in ("author", "provenance")}


def _text(identity: Mapping[str, Any]) -> str:
    return json.dumps(identity, sort_keys=True, allow_nan=False)


def _array(array: ArrayVersion) -> dict[str, Any]:
    return {
        "manifest": array.manifest,
        "dims": list(array.dims),
        "shape": list(array.shape),
        "dtype": array.dtype,
        "chunks": dict(array.chunks),
        "unit_ids": None if array.unit_ids is None else list(array.unit_ids),
    }


def _common(values: Iterable[str | None]) -> str | None:
    """Return the one value that all have who have any, or None."""
    found = {value for value in values if value is not None}
    return found.pop() if len(found) == 1 else None
