"""repair: put back what is damaged, where the same bytes are found again or can be made again.

Nothing is trusted but digests: what is put in a place has the digest that this place asks for. What lay there is moved
into the quarantine, never removed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from minian_vc import durable
from minian_vc.config import FORMAT, Config
from minian_vc.errors import DamagedError, StorageError
from minian_vc.health.rebuild import rebuild_repository
from minian_vc.health.remedies import OBJECTS, Remedy, find_remedies
from minian_vc.health.repaired import Healed, Repaired
from minian_vc.health.report import VerifyReport
from minian_vc.health.stored import Stored
from minian_vc.health.verify import check_config, look, repository_at, verify_repository
from minian_vc.model import digest_of
from minian_vc.objects import KINDS, MAX_DOCUMENT, Batch
from minian_vc.repository import Repository

__all__ = ["repair"]


def repair(path: str | os.PathLike[str] = ".", *, quick: bool = False, dry_run: bool = True) -> Repaired:
    """Heal what is damaged in a repository, where the same bytes are found again or can be made again.

    Chunk objects are looked for in the working folders and in what was set aside; manifests are made again from arrays
    that are still in a working folder, documents from the catalog, and the catalog from the documents. Lost settings
    are replaced by the usual ones.

    Parameters
    ----------
    path : path
        A dataset, or any folder in the repository's.
    quick : bool
        Find out what is damaged without reading the chunk objects.
    dry_run : bool
        Only say what would be healed.

    Returns
    -------
    Repaired
        What was healed, what cannot be, and which array versions that concerns.

    Raises
    ------
    NotFoundError
        There is no repository at or above the path.
    EnvironmentUnfitError
        A newer minian_vc made it.
    BusyError
        Another process kept the catalog locked.
    StorageError
        The disk is full or read-only. What was healed before stays so.
    """
    repository = repository_at(path)
    report = verify_repository(repository, quick=quick)
    if dry_run:
        found = find_remedies(repository, report.damage)
        healed = tuple(Healed(remedy.damage, remedy.source) for remedy in found)
        done = {each.damage.path for each in healed}
        return Repaired(report.repository, healed, tuple(d for d in report.damage if d.path not in done), dry_run)
    return _heal_all(repository, report)


def _heal_all(repository: Repository, report: VerifyReport) -> Repaired:
    """Heal again and again, for behind a missing document others may be missing."""
    healed: dict[Path, Healed] = {}
    stored = Stored(bad={each.path: each.problem for each in report.damage if each.kind in OBJECTS})
    damage = report.damage
    while remedies := [each for each in find_remedies(repository, damage) if each.damage.path not in healed]:
        done = list(_apply(repository, remedies))
        if not done:
            break
        healed |= {remedy.damage.path: Healed(remedy.damage, remedy.source) for remedy in done}
        damage = look(repository, stored, check_config(repository), quick=report.quick, compare=True).damage
    return Repaired(report.repository, tuple(healed.values()), damage, dry_run=False)


def _apply(repository: Repository, remedies: Sequence[Remedy]) -> Iterator[Remedy]:
    """Apply remedies in the order in which things refer to each other; yield those that were there when needed."""
    with _locked(repository), durable.storage_errors("repair the repository", repository.folder):
        repository.staging.mkdir(exist_ok=True)
        for each in remedies:
            if each.damage.kind == "config":
                _move_away(repository, each.damage.path, "config")
                identity = os.urandom(8).hex()
                Config(repository=identity, format=FORMAT).save(each.damage.path, repository.staging)
                yield each
        for kind in KINDS:
            mine = [each for each in remedies if OBJECTS.get(each.damage.kind) == kind]
            with Batch(repository.objects) as batch:
                yield from [each for each in mine if _stage(batch, each)]
                batch.publish()
            for each in mine:
                if each.is_unneeded:
                    repository.objects.set_aside(each.damage.path)
                    yield each
        for each in remedies:
            if each.damage.kind == "operation" and (content := _content(each)) is not None:
                _replace(repository, each.damage.path, content)
                yield each
    for each in remedies:
        if each.damage.kind == "catalog":
            rebuild_repository(repository)
            yield each


def _stage(batch: Batch, remedy: Remedy) -> bool:
    """Stage the bytes of an object; tell whether they are those that are needed."""
    kind = OBJECTS[remedy.damage.kind]
    if kind == "chunks" and remedy.file is not None:
        with _opened(remedy.file) as source:
            return batch.add_file(source)[0] == remedy.damage.digest
    content = _content(remedy)
    return content is not None and batch.add(kind, content) == remedy.damage.digest


def _content(remedy: Remedy) -> bytes | None:
    """Return the bytes of a document, if there are any that have its digest."""
    content = remedy.content
    if remedy.file is not None:
        with _opened(remedy.file) as source:
            content = durable.read_block(source, MAX_DOCUMENT)
    return content if content is not None and digest_of(content) == remedy.damage.digest else None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    source = durable.open_without_links(path)
    try:
        yield source
    finally:
        os.close(source)


def _replace(repository: Repository, path: Path, content: bytes) -> None:
    """Put an operation in its place; what lies there is moved into the quarantine."""
    _move_away(repository, path, "operations")
    path.parent.mkdir(exist_ok=True)
    durable.write_durably(path, content, repository.staging)


def _move_away(repository: Repository, path: Path, folder: str) -> None:
    """Move what lies there, if anything does, into a folder of the quarantine."""
    if os.path.lexists(path):
        place = repository.objects.quarantine / folder / f"{path.name}-{os.urandom(4).hex()}"
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        durable.flush((), (place.parent, repository.objects.quarantine, repository.folder, path.parent))


@contextlib.contextmanager
def _locked(repository: Repository) -> Iterator[None]:
    """Keep other writers away; a catalog that cannot be locked is one that nobody can write to."""
    with contextlib.ExitStack() as lock:
        if repository.catalog.path.is_file():
            with contextlib.suppress(DamagedError, StorageError):
                lock.enter_context(repository.catalog.write())
        yield
