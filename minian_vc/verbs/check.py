"""check: say what loading would do, before loading."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc.audit import Audit, SessionFacts, audit, audit_sessions
from minian_vc.audit.model import listed, quoted, worst_grade
from minian_vc.catalog.queries import DatasetRow
from minian_vc.dataset_folders import datasets_below, is_array_folder, is_dataset, is_export
from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.findings import Finding, worst_first
from minian_vc.inspection import (
    FilesStored,
    look_at_array,
    look_at_file,
    look_at_folder,
    opened_below,
    renamed,
)
from minian_vc.model import ArrayVersion
from minian_vc.prediction import Bundle, Fails, Outcome, Unsure, predict_dict, predict_merge, predict_sessions
from minian_vc.prediction.concatenating import key_of
from minian_vc.repository import Repository
from minian_vc.staging import put_in_order
from minian_vc.verbs.known_history import history_of, known_history
from minian_vc.verbs.report import CheckReport

if TYPE_CHECKING:
    pass

__all__ = ["audit_versions", "check", "check_folder", "check_sessions", "check_versions"]

PATTERN = "minian$"  # open_minian_mf's own default


def check(
    *paths: str | os.PathLike[str], index_dims: Sequence[str] | str | None = None, pattern: str = PATTERN
) -> CheckReport:
    """Say what MiniAn's loading would do with a dataset, and which of its arrays belong together.

    Directory listings, metadata, coordinates and the headers of chunks are read, the data never. What is predicted
    is MiniAn 2.0.2 in its own environment (xarray 2026.4.0, zarr 2.18.7), wherever this runs.

    Parameters
    ----------
    *paths : path
        Dataset folders. With ``index_dims`` one root, below which the datasets lie.
    index_dims : sequence of str, optional
        As for ``open_minian_mf``: the coordinates by which datasets are told apart, such as ``["animal", "session"]``,
        or ``"animal,session"``.
    pattern : str
        As for ``open_minian_mf``: a regular expression that the names of datasets fit.

    Returns
    -------
    CheckReport
        Its ``load()`` opens the arrays coherently, its ``raise_for_errors()`` raises where they do not belong together.

    Raises
    ------
    NotFoundError
        There is no such path.
    InvalidInputError
        No path, several roots, or a pattern that is no regular expression.

    References
    ----------
    What MiniAn does: ``minian.utilities.open_minian`` and ``open_minian_mf``, observed.
    """
    if not paths:
        raise InvalidInputError("Nothing was named to check.", "Give the path of a dataset.")
    existing = [_existing(Path(path)) for path in paths]
    if index_dims is not None:
        if len(existing) != 1:
            raise InvalidInputError("With index_dims, one root is checked.", "Give the folder above all sessions.")
        dims = index_dims.split(",") if isinstance(index_dims, str) else index_dims
        return check_sessions(existing[0], [dim.strip() for dim in dims if dim.strip()], pattern)
    reports = [check_folder(path) for path in existing]
    if len(reports) == 1:
        return reports[0]
    findings = worst_first(finding for report in reports for finding in report.findings)
    where = ", ".join(report.where for report in reports)
    return CheckReport(where, worst_grade(report.grade for report in reports), findings, datasets=tuple(reports))


def check_folder(path: Path) -> CheckReport:
    """Check the dataset at a path, as it is on disk."""
    put_in_order(path.resolve().parent)
    if path.is_file():
        facts = look_at_file(path)
        what = f"{path} is a file, and of no format that xarray reads."
        none = [Finding("not-a-dataset", "error", what, fix="Give the folder that save_minian wrote to.")]
        return _report(facts, [] if facts.arrays[0].kind == "array" else none)
    history, manifests, problem = history_of(path)
    facts = look_at_folder(path, time.time_ns(), history)
    arrays = tuple(replace(array, manifest=manifests.get(array.folder)) for array in facts.arrays)
    findings = _not_a_dataset(path)
    if problem is not None:
        what = f"The history of {path} cannot be asked: {problem.message}"
        findings.append(Finding("history-unavailable", "info", what, fix="minian-vc doctor"))
    return _report(replace(facts, arrays=arrays), findings)


def check_versions(
    repository: Repository,
    dataset: DatasetRow,
    versions: Sequence[tuple[str, ArrayVersion]],
    where: str,
    *,
    named: bool,
) -> CheckReport:
    """Check recorded array versions, each with its revision, as if they were restored into one folder."""
    counts = [array.name for _, array in versions]
    arrays = []
    for revision, version in versions:
        facts = look_at_version(repository, version)
        twice = counts.count(version.name) > 1
        arrays.append(renamed(facts, f"{version.name}_{revision}") if twice else facts)
    history = replace(known_history(repository, dataset), latest=())  # what came later says nothing about these
    return _report(DatasetFacts(where, tuple(arrays), named=named, history=history))


def audit_versions(
    repository: Repository, dataset: DatasetRow, arrays: Iterable[ArrayVersion], parent: Sequence[ArrayVersion]
) -> Audit:
    """Audit the arrays of a checkpoint that is about to be recorded."""
    arrays = list(arrays)
    history = replace(known_history(repository, dataset, arrays), latest=tuple(parent))
    facts = tuple(look_at_version(repository, version) for version in arrays)
    return audit(DatasetFacts(dataset.path, facts, history=history))


def look_at_version(repository: Repository, version: ArrayVersion) -> ArrayFacts:
    """Look at a recorded array version, straight in the object store."""
    files = FilesStored(repository.stored_files(version.manifest))
    return look_at_array(version.folder, files, manifest=version.manifest, bytes_kept=version.bytes_kept)


def check_sessions(root: Path, index_dims: Sequence[str], pattern: str = PATTERN) -> CheckReport:
    """Check what ``open_minian_mf`` would make of the datasets below a root."""
    if not index_dims:
        raise InvalidInputError("index_dims is empty.", "Give the coordinates that tell datasets apart: animal,session")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInputError(f"{pattern!r} is no regular expression: {error}.", "Try 'minian$'.") from None
    facts: list[SessionFacts] = []
    nbytes = 0
    opened: list[tuple[str, Bundle | Fails | Unsure]] = []
    for below in opened_below(str(root), compiled):
        key, problem = None, below.opened if not isinstance(below.opened, Bundle) else None
        if isinstance(below.opened, Bundle):
            try:
                key = key_of(below.opened, index_dims)
            except (Fails, Unsure) as failure:
                problem = failure
        facts.append(SessionFacts.of(below.path, below.opened, key, problem, below.ignored, below.parents))
        opened.append((below.path, below.opened))
        nbytes += below.nbytes
    found = audit_sessions(facts, index_dims, str(root))
    outcome = predict_sessions(opened, index_dims)
    where = f"{root} ({len(facts)} dataset{'' if len(facts) == 1 else 's'})"
    return CheckReport(where, found.grade, found.findings, {"open_minian_mf": outcome}, nbytes)


# -- putting it together ----------------------------------------------------------------------


def _existing(path: Path) -> Path:
    if not path.exists():
        raise NotFoundError(f"There is no {path}.", "Check the path.")
    return path


def _not_a_dataset(path: Path) -> list[Finding]:
    """Say that a folder is no dataset, but an array's, or one above datasets."""
    if is_array_folder(path) or is_export(path):
        what = f"{path} is {'an export' if is_export(path) else 'an array'}'s folder, not a dataset."
        return [Finding("not-a-dataset", "error", what, fix=f"minian-vc check {quoted(path.resolve().parent)}")]
    below = [] if is_dataset(path) else [str(each) for each in datasets_below(path)]
    if not below:
        return []
    what = f"{path} is not a dataset; datasets lie below it: {listed(below, 5)}."
    fix = f"minian-vc check {quoted(below[0])}; or all: minian-vc check {quoted(path)} --index-dims animal,session"
    return [Finding("not-a-dataset", "error", what, fix=fix)]


def _report(facts: DatasetFacts, more: Sequence[Finding] = ()) -> CheckReport:
    found, prediction = audit(facts), _predict(facts)
    findings, grade = found.findings, found.grade
    merge = prediction["merge"]
    if merge.status == "error" and grade not in ("contradictory", "unreadable"):  # what no rule explains
        what = f"open_minian would raise {merge.error}: {'; '.join(merge.why)}."
        findings = (Finding("merge-fails", "error", what, fix="Load with return_dict=True."), *findings)
        grade = worst_grade((grade, "contradictory"))
    if any(finding.code == "not-a-dataset" for finding in more):  # that its folders are no arrays goes without saying
        findings = tuple(finding for finding in findings if finding.code not in ("foreign-folder", "array-unreadable"))
    findings = worst_first((*more, *findings))
    return CheckReport(
        where=facts.where,
        grade=grade,
        findings=findings,
        prediction=prediction,
        input_nbytes=facts.input_nbytes,
        groups=found.groups,
        facts=facts,
    )


def _predict(facts: DatasetFacts) -> dict[str, Outcome]:
    opened = [array.opened for array in facts.arrays]
    return {
        "return_dict": predict_dict(opened),
        "merge": predict_merge(opened)[0],
        "merge_exact": predict_merge(opened, "exact")[0],
    }
