"""export: check what is to go out, open it together, and write it."""

from __future__ import annotations

import functools
import json
import shlex
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minian_vc import durable
from minian_vc.arrays.opening import levels_to_caller
from minian_vc.audit.numbering import is_kept
from minian_vc.catalog.queries import DatasetRow
from minian_vc.errors import ConflictError, InvalidInputError, NotFoundError
from minian_vc.export.bundle import Bundle, identity_of, without_provenance
from minian_vc.export.formats import Format, find_format
from minian_vc.export.place import put_beside, refuse_place, sidecar
from minian_vc.model import ArrayVersion, Checkpoint
from minian_vc.repository import Repository
from minian_vc.text import size
from minian_vc.verbs.check import check_versions
from minian_vc.verbs.compare import status
from minian_vc.verbs.restore import refuse_without_bytes
from minian_vc.verbs.resume import going_together

__all__ = ["Exported", "bundle", "export"]

Found = tuple[Checkpoint, ArrayVersion | None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    path : Path
        The file or folder.
    format : str
        Its format.
    checkpoint : str
        The checkpoint's id.
    arrays : tuple of str
        What is in it.
    left_out : dict of str to list
        Units that an array had and others had not: array to unit ids.
    nbytes : int
        Bytes on disk.
    sidecar : Path or None
        Where the identity lies, if the format has no place for it.
    """

    path: Path
    format: str
    checkpoint: str
    arrays: tuple[str, ...]
    left_out: Mapping[str, list[int | str]]
    nbytes: int
    sidecar: Path | None = None

    def __repr__(self) -> str:
        return f"{self.path}: {', '.join(self.arrays)} as {self.format}, {size(self.nbytes)}"


def export(
    repository: Repository,
    dataset: DatasetRow,
    found: Sequence[Found],
    out: Path,
    format_name: str,
    *,
    force: bool,
    provenance: bool,
    options: Mapping[str, Any],
) -> Exported:
    """Write what SPECs named to ``out``; see :meth:`minian_vc.Dataset.export`."""
    form, out = find_format(format_name), out.parent.resolve() / out.name
    form.check_options(options)
    refuse = functools.partial(refuse_place, out, folder=form.folder, force=force, with_sidecar=form.sidecar)
    refuse()
    _refuse_unrecorded(repository, out)
    chosen = bundle(repository, dataset, found, form)
    if not provenance:
        chosen = replace(chosen, identity=without_provenance(chosen.identity))
    with put_beside(out, refuse) as staged:
        form.write(chosen, staged, **options)
        if form.sidecar:
            sidecar(staged).write_text(_described(chosen, staged), encoding="utf-8")
        nbytes = sum(each.stat().st_size for each in (staged, *staged.rglob("*")) if each.is_file())
    left_out = json.loads(chosen.together.attrs.get("left_out", "{}"))
    beside = sidecar(out) if form.sidecar else None
    return Exported(out, form.name, chosen.identity["checkpoint"], tuple(chosen.names), left_out, nbytes, beside)


def bundle(repository: Repository, dataset: DatasetRow, found: Sequence[Found], form: Format | None = None) -> Bundle:
    """Check and open what SPECs named, all of one checkpoint; of a whole one, what the format has a place for.

    Raises
    ------
    InvalidInputError
        Nothing was named, arrays of several checkpoints, or one that the format has no place for.
    ConflictError
        The arrays do not belong together.
    NotFoundError
        An array was recorded without its bytes.
    UnreadableError
        An array cannot be opened.
    """
    checkpoint = _of_one(found)
    named = [array for _, array in found if array is not None]
    refuse_without_bytes(named)
    arrays = named or [array for array in checkpoint.arrays if array.bytes_kept]
    gone = {array.name for array in checkpoint.arrays if not array.bytes_kept}
    versions = [(checkpoint.short_id, array) for array in {array.name: array for array in arrays}.values()]
    where = f"{dataset.path} @{checkpoint.short_id}"
    report = check_versions(repository, dataset, versions, where, named=bool(named))
    if report.facts is None or not arrays:
        raise NotFoundError(f"{where} has no array with its bytes.", "Nothing was written.")
    if report.grade == "unreadable":
        report.raise_for_errors()
    names = [array.name for array in named] or going_together(report.facts, gone)
    if not named:
        _say_left_out(gone, [a.name for a in report.facts.readable if not is_kept(report.facts, a)])
    names = names if form is None else form.placed(names, named=bool(named))
    together = report.load(names)
    kept = [array for array in checkpoint.arrays if array.name in names]
    return Bundle(together, identity_of(checkpoint, kept, dataset.path))


def _say_left_out(gone: Collection[str], copies: Collection[str]) -> None:
    if gone:
        what = f"Left out, for their bytes were not recorded: {', '.join(sorted(gone))}."
        warnings.warn(what, UserWarning, stacklevel=levels_to_caller())
    if copies:
        what = f"Left out, for they are copies of earlier steps: {', '.join(sorted(copies))}. Name them to have them."
        warnings.warn(what, UserWarning, stacklevel=levels_to_caller())


def _of_one(found: Sequence[Found]) -> Checkpoint:
    """Return the one checkpoint that all are of."""
    if not found:
        raise InvalidInputError("Nothing was named to export.", "Write ARRAY@REV or @REV, as in C@first_iteration.")
    checkpoints = {checkpoint.id: checkpoint for checkpoint, _ in found}
    whole = [checkpoint for checkpoint, array in found if array is None]
    if len(checkpoints) > 1 or (whole and len(found) > 1):
        raise InvalidInputError(
            "An export is of one checkpoint: all of it, or arrays by name.",
            "Nothing was written. Export each checkpoint into its own file.",
        )
    return found[0][0]


def _refuse_unrecorded(repository: Repository, out: Path) -> None:
    """Refuse to replace a netCDF file that is a dataset of this repository and holds what is not recorded."""
    row = next((row for row in repository.datasets() if repository.root / row.path == out), None)
    if row is None or row.latest is None or not out.is_file():
        return
    changed = [
        each.name for each in status(repository, row, repository.checkpoint(row.latest)) if each.state != "unchanged"
    ]
    if changed:
        raise ConflictError(
            f"{out} is a dataset, and {', '.join(changed)} in it are not recorded.",
            f"Nothing was written. First: minian-vc commit {shlex.quote(str(out))}",
        )


def _described(chosen: Bundle, staged: Path) -> str:
    """Return the sidecar of a file: the identity, and the digest that tells which file it is of."""
    with staged.open("rb") as file:
        digest, _ = durable.digest_file(file.fileno())
    document = {**chosen.identity, "file": staged.name, "blake3": digest}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
