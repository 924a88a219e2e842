"""What is the matter: the environment, the repository, the file system, and what was left behind.

It looks and changes nothing. What is broken is a finding, never an error.
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minian_vc.dataset_folders import FOLDER, dataset_above, is_dataset
from minian_vc.doctor import environment, filesystem, leftovers, repository
from minian_vc.doctor.filesystem import FileSystem
from minian_vc.doctor.guard import guarded, is_folder
from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.findings import Finding

__all__ = ["Diagnosis", "Part", "examine"]

Part = Literal["environment", "repository", "file system", "leftovers"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, and in which part.

    Attributes
    ----------
    python : str
        Python's version.
    packages : mapping of str to str or None
        Versions by name; None for a package that is not installed.
    repository : Path or None
        The ``.minian_vc`` folder.
    file_system : FileSystem
        What the file system of the repository, or of the folder, is and can do.
    findings : mapping of str to tuple of Finding
        Findings by part: environment, repository, file system, leftovers.
    """

    python: str
    packages: Mapping[str, str | None]
    repository: Path | None
    file_system: FileSystem
    findings: Mapping[Part, tuple[Finding, ...]]

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """The findings of all parts, in their order."""
        return tuple(finding for found in self.findings.values() for finding in found)


def examine(path: Path | str) -> Diagnosis:
    """Examine a folder, the repository at or above it, and the environment.

    Small files are written for a moment where the repository stages its own, or above the dataset; never in a
    dataset.

    Parameters
    ----------
    path : Path or str
        A dataset, a folder below a repository, or any other folder.

    Raises
    ------
    NotFoundError
        There is no such folder.
    InvalidInputError
        It is a file.
    """
    start = Path(path).resolve()
    if not start.is_dir():
        if start.exists():
            raise InvalidInputError(f"{start} is a file.", "Give a folder: a dataset, or one above it.")
        raise NotFoundError(f"There is no folder {start}.", "Check the path.")
    root, packages = repository.find(start), environment.installed()
    system = filesystem.examine(start if root is None else root / FOLDER, _place(start, root))
    examined = _repository(start, root, system)
    return Diagnosis(
        python=platform.python_version(),
        packages=packages,
        repository=None if root is None else root / FOLDER,
        file_system=system,
        findings={
            "environment": tuple(environment.findings(packages)),
            "repository": examined.findings,
            "file system": tuple(filesystem.findings(system)),
            "leftovers": _leftovers(start, root, examined, system),
        },
    )


def _place(start: Path, root: Path | None) -> Path | None:
    """Return where to try the file system: in staging, in the folder itself, or above the dataset; None if nowhere."""
    place = start
    if root is not None:
        staging = root / FOLDER / "staging"
        place = staging if is_folder(staging) else root
    while (dataset := _dataset_of(place)) is not None:
        if dataset == dataset.parent:  # a whole drive
            return None
        place = dataset.parent
    return place


def _dataset_of(folder: Path) -> Path | None:
    """Return the dataset that a folder lies in or is."""
    return dataset_above(folder) or (folder if is_dataset(folder) else None)


def _repository(start: Path, root: Path | None, system: FileSystem) -> repository.Examined:
    if root is None:
        message = f"There is no repository at or above {start}."
        fix = "Make one in the folder that holds your datasets: minian-vc init FOLDER"
        return repository.Examined((Finding("no-repository", "info", message, fix=fix),))
    return repository.examine(root, writable=system.probes.writable is not False)


def _leftovers(
    start: Path, root: Path | None, examined: repository.Examined, system: FileSystem
) -> tuple[Finding, ...]:
    found: list[Finding] = []
    if root is not None and examined.known:
        now = time.time() + (system.probes.clock_ahead or 0.0)
        found += guarded(lambda: leftovers.in_staging(root, now))
        found += guarded(lambda: leftovers.put_aside(root))
    datasets = {*examined.datasets, *filter(None, (_dataset_of(start), root and _dataset_of(root)))}
    for dataset in sorted(datasets):
        found += guarded(functools.partial(leftovers.in_dataset, dataset))
    for parent in sorted({dataset.parent for dataset in datasets}):
        found += guarded(functools.partial(leftovers.beside_datasets, parent))
    return tuple(found)
