"""load: open together what check found to belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from minian_vc.arrays.live_files import LiveFiles
from minian_vc.arrays.opening import open_array, open_side_by_side, open_together
from minian_vc.audit import audit
from minian_vc.audit.numbering import is_kept
from minian_vc.errors import BusyError, ConflictError, InvalidInputError, NotFoundError, UnreadableError
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.inspection import FilesOnDisk, as_version
from minian_vc.model import ArrayVersion
from minian_vc.names import near

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["load_each", "load_side_by_side", "load_together"]


def load_together(facts: DatasetFacts, names: Sequence[str] | None) -> xr.Dataset:
    """Open arrays on their common units, if they still are what was checked.

    Without names, all but the copies of earlier steps are opened.

    Raises
    ------
    ConflictError
        The named arrays do not belong together.
    BusyError
        The folder has changed since it was checked.
    NotFoundError
        There is no array of that name, or none at all.
    """
    chosen = [array for array in facts.readable if is_kept(facts, array)] if names is None else _named(facts, names)
    return open_together(*_versions(facts, chosen))


def load_side_by_side(facts: DatasetFacts, names: Sequence[str]) -> dict[str, xr.DataArray]:
    """Open the named arrays on their common units, each with its own coordinates; raises as :func:`load_together`."""
    return open_side_by_side(*_versions(facts, _named(facts, names)))


def _versions(
    facts: DatasetFacts, chosen: Sequence[ArrayFacts]
) -> tuple[list[ArrayVersion], Callable[[ArrayVersion], Mapping[str, bytes]]]:
    """Return arrays as what can be opened, and where the files of each are."""
    if not chosen:
        raise NotFoundError(f"There is no array to load in {facts.where}.", f"See: minian-vc check '{facts.where}'")
    versions = [as_version(array) for array in _unchanged(facts, chosen)]
    files = {version.name: _lasting(array, version) for version, array in zip(versions, chosen, strict=True)}
    return versions, lambda version: files[version.name]


def _lasting(array: ArrayFacts, version: ArrayVersion) -> Mapping[str, bytes]:
    """Return files that stay what they are, or say that they did not."""
    files = array.files
    return LiveFiles(files.path, version.variable) if isinstance(files, FilesOnDisk) else files


def load_each(facts: DatasetFacts) -> dict[str, xr.DataArray]:
    """Open each array as saved, by MiniAn's name; folders that are no arrays are passed over.

    Raises
    ------
    UnreadableError
        An array cannot be opened.
    BusyError
        The folder has changed since it was checked.
    """
    broken = [array for array in facts.arrays if array.kind in ("broken", "format-3")]
    if broken:
        raise UnreadableError(f"{broken[0].name} in {facts.where} cannot be opened.", "Check the dataset to see why.")
    versions = [(as_version(array), array) for array in _unchanged(facts, facts.readable)]
    return {version.name: open_array(version, _lasting(array, version)) for version, array in versions}


def _named(facts: DatasetFacts, names: Sequence[str]) -> list[ArrayFacts]:
    by_name = {array.name: array for array in facts.arrays}
    for name in names:
        if name not in by_name:
            raise NotFoundError(f"{facts.where} has no array {name!r}.", near(name, by_name))
    chosen = [by_name[name] for name in dict.fromkeys(names)]
    found = audit(replace(facts, arrays=tuple(chosen), named=True))
    grave = [finding for finding in found.findings if finding.severity == "error"]
    if found.grade == "unreadable":
        raise UnreadableError(f"{facts.where}: {grave[0].message}", grave[0].fix)
    if grave:
        raise ConflictError(f"{facts.where}: {grave[0].message}", grave[0].fix)
    return chosen


def _unchanged(facts: DatasetFacts, arrays: Sequence[ArrayFacts]) -> Sequence[ArrayFacts]:
    for array in arrays:
        if array.bundle is None:
            raise InvalidInputError(f"{array.name} in {facts.where} is no array folder.", "Nothing was opened.")
        if array.files.is_changed():
            raise BusyError(f"{array.name} in {facts.where} has changed since it was checked.", "Check again.")
    return arrays
