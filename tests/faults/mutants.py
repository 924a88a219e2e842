"""The product with one step left out, or two of them in the wrong order. The kit must miss each.

That each flush is needed is asked otherwise: test_power.py takes away those that it finds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from minian_vc import durable, swap
from minian_vc.catalog import Catalog
from minian_vc.model import digest_of
from minian_vc.objects import Batch
from minian_vc.operations import OperationLog
from minian_vc.repository import Repository
from minian_vc.verbs import before_restore, commit, prune, restore, save, write_back
from minian_vc.verbs.commit import Commit

__all__ = ["MUTANTS", "Mutant"]


@dataclass(frozen=True)
class Mutant:
    """What is changed, and the scenario and the kind of disaster that show it."""

    scenario: str
    kind: str
    change: Callable[[], contextlib.AbstractContextManager]


When = Callable[..., bool]


def _always(*_: Any) -> bool:
    return True


class Later:
    """Calls put off until another one was made."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []

    @contextlib.contextmanager
    def instead(self, owner: Any, name: str, when: When = _always, result: Any = None) -> Iterator[None]:
        """Put off calls of a function."""
        real = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if not when(*arguments):
                return real(*arguments, **options)
            self._calls.append(lambda: real(*arguments, **options))
            return result(*arguments) if result else None

        with patch.object(owner, name, call):
            yield

    @contextlib.contextmanager
    def after(self, owner: Any, name: str, when: When = _always) -> Iterator[None]:
        """Make up for them after a call of another."""
        real = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            is_it = when(*arguments)
            result = real(*arguments, **options)
            if is_it:
                self.now()
            return result

        with patch.object(owner, name, call):
            yield

    def after_writing(self) -> Any:
        """Make up for them when the catalog's transaction has ended."""
        real = Catalog.write

        @contextlib.contextmanager
        def write(catalog: Catalog) -> Iterator[Any]:
            with real(catalog) as connection:
                yield connection
            self.now()

        return patch.object(Catalog, "write", write)

    def now(self) -> None:
        """Make up for them."""
        while self._calls:
            self._calls.pop(0)()


@contextlib.contextmanager
def together(*contexts: contextlib.AbstractContextManager) -> Iterator[None]:
    """Enter several."""
    with contextlib.ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def _holds(kind: str) -> Callable[[Batch], bool]:
    return lambda batch: any(kind in target.parts for target in batch._staged)


def manifests_before_chunks() -> Any:
    later = Later()
    return together(
        later.after(Batch, "publish", _holds("manifests")), later.instead(Batch, "publish", _holds("chunks"))
    )


def operation_before_document() -> Any:
    later = Later()
    return together(
        later.instead(
            commit, "store_object", lambda _, kind, __: kind == "checkpoints", lambda _, __, content: digest_of(content)
        ),
        later.after(OperationLog, "publish"),
    )


def operation_after_catalog() -> Any:
    later = Later()
    return together(later.instead(OperationLog, "publish"), later.after_writing())


def operation_after_removing() -> Any:
    later = Later()
    return together(later.instead(OperationLog, "publish"), later.after(prune, "remove"))


def operation_in_place() -> Any:
    def publish(log: OperationLog, operation: Any) -> str:
        content = operation.to_document()
        log.path(operation.sequence).write_bytes(content)
        durable.flush([log.path(operation.sequence)], [log.folder])
        return digest_of(content)

    return patch.object(OperationLog, "publish", publish)


def format_after_operations() -> Any:
    later = Later()
    return together(later.instead(Repository, "require_format"), later.after_writing())


def no_transaction() -> Any:
    return patch.object(Catalog, "write", lambda catalog: catalog._transaction("SELECT 1"))


def removing(order: Callable[[Any], Any]) -> Any:
    real = prune.remove
    return patch.object(prune, "remove", lambda objects, garbage: real(objects, order(garbage)))


def chunks_before_manifests() -> Any:
    return removing(lambda garbage: replace(garbage, roots=garbage.chunks, chunks=garbage.roots))


def parts_before_roots() -> Any:
    return removing(lambda garbage: replace(garbage, roots=garbage.parts, parts=garbage.roots))


def saved_in_place_before_flushed() -> Any:
    later = Later()
    return together(later.instead(durable, "flush_tree"), later.after(save, "put_in_place"))


def restored_in_place_before_flushed() -> Any:
    later = Later()
    return together(later.instead(write_back.durable, "flush_tree"), later.after(restore, "put_in_place"))


def saved_in_place_before_written() -> Any:
    """The new folder goes live at once, and is written there."""

    def made_live(stage: Path, dataset: Path) -> None:
        (dataset / "C.zarr").rename(stage.parent.parent / "gone")

    real = save.make_stage
    return patch.object(save, "make_stage", lambda *arguments: (real(*arguments), made_live(*arguments)))


def nothing_recorded_first() -> Any:
    return patch.object(before_restore, "commit", lambda *_: Commit(None, created=False))


def old_before_new() -> Any:
    def put_in_place(staged: Path, live: Path, staging: Path, *, replace: bool = True) -> None:
        durable.remove_tree(live)
        staged.rename(live)
        durable.flush((), (live.parent,))

    return patch.object(restore, "put_in_place", put_in_place)


def no_note() -> Any:
    real = durable.write_durably
    return patch.object(
        swap.durable, "write_durably", lambda path, *rest: None if "swap-" in path.name else real(path, *rest)
    )


MUTANTS = {
    "manifests before chunks": Mutant("first commit", "kills", manifests_before_chunks),
    "the operation before the checkpoint document": Mutant("commit", "kills", operation_before_document),
    "the catalog before the operation": Mutant("commit", "kills", operation_after_catalog),
    "the operation written in its place": Mutant("tag", "kills", operation_in_place),
    "the catalog without a transaction": Mutant("commit", "kills", no_transaction),
    "a migration without a transaction": Mutant("migrate the catalog", "kills", no_transaction),
    "catching up without a transaction": Mutant("make the catalog anew", "kills", no_transaction),
    "the format after the operations": Mutant("prune", "kills", format_after_operations),
    "a prune removes chunks before manifests": Mutant("prune", "kills", chunks_before_manifests),
    "a prune removes parts before roots": Mutant("prune", "kills", parts_before_roots),
    "a prune removes before the operations": Mutant("prune", "kills", operation_after_removing),
    "a restore records nothing first": Mutant("restore", "kills", nothing_recorded_first),
    "a restore of one array records nothing first": Mutant("restore one array", "kills", nothing_recorded_first),
    "a restore removes the old first": Mutant("restore", "kills", old_before_new),
    "a restore is flushed when it is in place": Mutant("restore", "cuts", restored_in_place_before_flushed),
    "two renames without a note": Mutant("restore by two renames", "kills", no_note),
    "a save's two renames without a note": Mutant("save by two renames", "kills", no_note),
    "a save is flushed when it is in place": Mutant("save", "cuts", saved_in_place_before_flushed),
    "a save takes the old away first": Mutant("save", "kills", saved_in_place_before_written),
}
