"""How damaged things can be healed: copies, documents out of the catalog, manifests made again from arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minian_vc.catalog.documents import compose_checkpoint
from minian_vc.errors import MinianVCError
from minian_vc.health.catalog import CatalogCopy, copied
from minian_vc.health.copies import Places
from minian_vc.health.log import compose, read_log
from minian_vc.health.report import Damage
from minian_vc.model import digest_of
from minian_vc.objects import Kind
from minian_vc.repository import Repository, has_repository

__all__ = ["OBJECTS", "Remedy", "find_remedies"]

OBJECTS: Mapping[str, Kind] = {"chunk": "chunks", "manifest": "manifests", "checkpoint": "checkpoints"}


@dataclass(frozen=True, slots=True)
class Remedy:
    """How one thing can be healed: with bytes, or a file that has them; the catalog is made anew.

    What nothing needs is only set aside.
    """

    damage: Damage
    source: str
    content: bytes | None = None
    file: Path | None = None

    @property
    def is_unneeded(self) -> bool:
        """Whether it is to be set aside, and nothing put in its place."""
        return self.damage.kind in OBJECTS and self.content is None and self.file is None


def find_remedies(repository: Repository, damage: Sequence[Damage]) -> list[Remedy]:
    """Return how those things can be healed that can be, each once."""
    if not damage:
        return []
    found: dict[Path, Remedy] = {}
    with copied(repository, quick=True) as copy:
        log = read_log(repository.operations, copy.operations())
        datasets = {path for paths in log.paths.values() for path in paths}
        places = Places(repository, sorted(datasets), [each.path for each in damage if each.digest])
        looks: tuple[Callable[[list[Damage]], Iterable[Remedy]], ...] = (
            lambda left: _from_copies(places, left),
            lambda left: _from_catalog(copy, log.paths, left),
            lambda left: _from_arrays(places, left),
            lambda left: _by_making(left, damage, found),
        )
        for each in looks:
            found |= {remedy.damage.path: remedy for remedy in each([d for d in damage if d.path not in found])}
    return list(found.values())


def _from_copies(places: Places, damage: list[Damage]) -> Iterator[Remedy]:
    wanted = {each.digest: each for each in damage if each.digest and (each.kind != "chunk" or each.size is not None)}
    if wanted:
        for digest, path in places.find({digest: each.size for digest, each in wanted.items()}).items():
            yield Remedy(wanted[digest], f"a copy is {path}", file=path)


def _from_catalog(copy: CatalogCopy, paths: Mapping[str, list[str]], damage: list[Damage]) -> Iterator[Remedy]:
    """Yield the documents that the catalog's rows give again."""
    operations = {digest: operation for operation, digest in copy.operations().values()}
    for each in damage:
        content = None
        if each.kind == "operation" and each.digest in operations:
            operation = operations[each.digest]
            content = compose(operation, each.digest, paths.get(operation.dataset, ()))
        elif each.kind == "checkpoint" and each.digest is not None:
            content = _composed(copy, each.digest)
        if content is not None:
            yield Remedy(each, "composed again from the catalog", content)


def _composed(copy: CatalogCopy, checkpoint_id: str) -> bytes | None:
    if copy.catalog is None:
        return None
    try:
        with copy.catalog.read() as connection:
            return compose_checkpoint(connection, checkpoint_id)
    except (MinianVCError, ValueError, TypeError):  # it may be damaged too
        return None


def _from_arrays(places: Places, damage: list[Damage]) -> Iterator[Remedy]:
    """Yield the manifests that arrays in the working folders still have."""
    wanted = {each.digest: each for each in damage if each.kind == "manifest" and each.digest is not None}
    affected = [found for each in wanted.values() for found in each.affects]
    for content, folder in places.manifests(wanted, affected):
        yield Remedy(wanted[digest_of(content)], f"made again from {folder}", content)


def _by_making(left: list[Damage], damage: Sequence[Damage], found: Mapping[Path, Remedy]) -> Iterator[Remedy]:
    """Yield a history's settings; the catalog, if all documents are whole or can be; and what is only set aside."""
    documents = [each for each in damage if each.kind in ("operation", "checkpoint") and each.path not in found]
    begun = all(has_repository(each.path.parents[1]) for each in damage if each.kind == "config")
    for each in left:
        if each.kind == "config" and begun:
            yield Remedy(each, "made anew, with the usual settings: set yours again (minian-vc config)")
        elif each.kind == "catalog" and begun and not documents:
            yield Remedy(each, "made anew from the history")
        elif each.needed_by == "nothing":
            yield Remedy(each, "nothing needs it: set aside")
