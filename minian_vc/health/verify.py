"""verify: do the bytes match what was recorded? Nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from minian_vc.config import Config
from minian_vc.errors import DamagedError, MinianVCError, NotFoundError, StorageError
from minian_vc.health.catalog import CatalogCopy, copied
from minian_vc.health.log import read_log
from minian_vc.health.report import Damage, VerifyReport
from minian_vc.health.so_far import SoFar
from minian_vc.health.stored import Stored, read_all
from minian_vc.health.versions import Versions
from minian_vc.history import lost_checkpoints
from minian_vc.repository import FOLDER, Repository, has_repository
from minian_vc.text import number

__all__ = ["check_config", "look", "repository_at", "verify", "verify_repository"]

TRIES = 5
NAMED = 5  # of the files that are no objects


def verify(path: str | os.PathLike[str] = ".", *, quick: bool = False, restart: bool = False) -> VerifyReport:
    """Look whether everything that was recorded is there and is what was recorded.

    All datasets of the repository are looked at: the operation log, the checkpoints, their manifests and chunk objects,
    and the catalog, which is compared with one made anew from the history. Nothing is changed. An interrupted run goes
    on where it stopped, if it is run again within a week.

    Parameters
    ----------
    path : path
        A dataset, or any folder in the repository's.
    quick : bool
        Do not read chunk objects: whether they are there with the right size is seen, whether a bit has changed is not.
        Neither is the catalog compared.
    restart : bool
        Read everything, also what an interrupted run has read.

    Returns
    -------
    VerifyReport
        Its ``whole`` says whether all is well, its ``affected`` which array versions are damaged.

    Raises
    ------
    NotFoundError
        There is no repository at or above the path.
    EnvironmentUnfitError
        A newer minian_vc made it.
    BusyError
        Another process kept the catalog locked.
    StorageError
        The objects cannot be listed.
    """
    return verify_repository(repository_at(path), quick=quick, restart=restart)


def repository_at(path: str | os.PathLike[str]) -> Repository:
    """Return the nearest repository at or above a path, not opened, for it may be damaged.

    Raises
    ------
    NotFoundError
        There is none.
    """
    start = Path(path).resolve()
    candidates = [folder for folder in (start, *start.parents) if (folder / FOLDER).is_dir()]
    if candidates:  # one that was only half made is not meant, if there is another
        return Repository(next(filter(has_repository, candidates), candidates[0]))
    raise NotFoundError(f"There is no repository at or above {start}.", "Give the folder that holds your datasets.")


def verify_repository(repository: Repository, *, quick: bool = False, restart: bool = False) -> VerifyReport:
    """Verify a repository; see :func:`verify`."""
    damage = check_config(repository)
    so_far = SoFar(repository.folder / "verify.json", restart=restart)
    stored = Stored() if quick else read_all(repository.objects, so_far)
    report = look(repository, stored, damage, quick=quick)
    if not quick:
        so_far.forget()
    return report


def look(
    repository: Repository, stored: Stored, damage: tuple[Damage, ...] = (), *, quick: bool, compare: bool | None = None
) -> VerifyReport:
    """Look at everything but the bytes of chunk objects; where something is damaged and history moved on, once more.

    Parameters
    ----------
    repository : Repository
        The repository.
    stored : Stored
        What is known of the objects from reading them.
    damage : tuple of Damage
        What was found before.
    quick : bool
        For the report.
    compare : bool, optional
        Whether the catalog is compared with one made anew; if not given, unless ``quick``.
    """
    compare = not quick if compare is None else compare
    for _ in range(TRIES):
        bad = {path: problem for path in stored.bad if (problem := _still_bad(repository, path))}
        with copied(repository, quick=quick) as copy:
            log = read_log(repository.operations, copy.operations())
            versions = Versions(repository.objects, log, bad)
            found = [*damage, *versions.damage(), *_lost(repository, log.named)]
            problem, notes = _catalog(copy, log.last if compare else None, found)
        found += [Damage("catalog", repository.catalog.path, problem)] if problem else []
        if not found or not repository.operations.path(log.last + 1).exists():
            break
    return VerifyReport(
        repository=repository.folder,
        quick=quick,
        checkpoints=len(versions.timeline.live),
        objects=stored.objects,
        nbytes=stored.nbytes,
        damage=tuple(found),
        notes=(*notes, *_foreign(stored)),
    )


def _lost(repository: Repository, named: Collection[str]) -> Iterator[Damage]:
    lost = lost_checkpoints(repository.objects, named)
    if lost:
        problem = f"operations are missing: {number(len(lost), 'checkpoint')} follow others that none names"
        yield Damage("operation", repository.operations.folder, problem)


def check_config(repository: Repository) -> tuple[Damage, ...]:
    """Return what is wrong with the configuration."""
    path = repository.folder / "config.json"
    try:
        Config.load(path)
    except (DamagedError, StorageError, RecursionError) as error:
        problem = error.message if isinstance(error, MinianVCError) else str(error)
        return (
            Damage("config", path, "missing" if not path.exists() else problem.removeprefix(f"{path} is damaged: ")),
        )
    return ()


def _still_bad(repository: Repository, path: Path) -> str:
    """Read an object again that was bad; it may be gone or healed."""
    return repository.objects.examine(path) if os.path.lexists(path) else ""


def _catalog(copy: CatalogCopy, last: int | None, found: list[Damage]) -> tuple[str, tuple[str, ...]]:
    """Return what is wrong with the catalog, compared up to an operation, and what else is to be said."""
    not_compared = "", ("The catalog was not compared with the history, which is damaged.",)
    if copy.problem or last is None:
        return copy.problem, ()
    if any(each.kind == "operation" for each in found):
        return not_compared
    try:
        return copy.differs(last), ()
    except MinianVCError as error:
        if any(each.serious for each in found):
            return not_compared
        return f"it could not be made anew: {error.message}", ()


def _foreign(stored: Stored) -> tuple[str, ...]:
    if not stored.foreign:
        return ()
    named = ", ".join(str(path) for path in stored.foreign[:NAMED])
    more = f" and {len(stored.foreign) - NAMED} more" if len(stored.foreign) > NAMED else ""
    return (f"These are not named like objects, and were left alone: {named}{more}.",)
