"""Reading the operation log although something in it may be damaged.

Each operation names the digest of the one before, so the log is trusted from its end backwards. What is right for the
last operation is told by the catalog, if that is of the same history. Where an operation is damaged, the catalog's row
stands in for it, so that what it recorded is still known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from minian_vc.errors import MinianVCError
from minian_vc.health.report import Affected, Damage
from minian_vc.model import Operation, digest_of
from minian_vc.objects import CHANGED, MISSING, NO_FILE
from minian_vc.operations import OperationLog

__all__ = ["KnownOperations", "ReadLog", "compose", "read_log"]

KnownOperations = Mapping[int, tuple[Operation, str]]  # as the catalog has them: number → operation, digest


@dataclass(frozen=True, slots=True)
class ReadLog:
    """The operations as far as they are known, what is damaged in the log, and the number of the last one."""

    operations: tuple[Operation, ...]
    damage: tuple[Damage, ...]
    last: int

    @property
    def named(self) -> set[str]:
        """The checkpoints and states that operations name."""
        return {id_ for each in self.operations for id_ in (each.checkpoint, each.before) if id_}

    @property
    def paths(self) -> dict[str, list[str]]:
        """The paths where each dataset lay, by its id, the newest first."""
        found: dict[str, dict[str, None]] = {}
        for operation in reversed(self.operations):
            found.setdefault(operation.dataset, {})[operation.path] = None
        return {dataset: list(paths) for dataset, paths in found.items()}


def read_log(log: OperationLog, known: KnownOperations) -> ReadLog:
    """Read all operations.

    Parameters
    ----------
    log : OperationLog
        The log.
    known : mapping
        The operations that the catalog knows; empty if it cannot be read.

    Raises
    ------
    EnvironmentUnfitError
        A newer minian_vc wrote an operation.
    """
    contents = {number: _read(log.path(number)) for number in _numbers(log)}
    parsed = {number: _parsed(content) for number, content in contents.items()}
    trusted = _trusted(contents, known, [each for each in parsed.values() if each is not None])
    found: list[Operation] = []
    damage: list[Damage] = []
    expected: str | None = None
    last = max([*contents, *trusted], default=0)
    for number in range(last, 0, -1):
        expected = expected or trusted.get(number)
        content, operation = contents.get(number, MISSING), parsed.get(number)
        problem = _problem(content, operation, number, expected, contents.get(number - 1))
        if problem:
            digest = expected or trusted.get(number)
            operation = known[number][0] if number in trusted else None
            affects = (Affected(operation.path, operation.checkpoint),) if operation is not None else ()
            damage.append(Damage("operation", log.path(number), problem, digest, affects=affects))
        elif operation is None and isinstance(content, bytes):
            operation = Operation.from_document(content)  # raises what is newer than this program
        expected = operation.previous if operation is not None and not problem else None
        if operation is not None:
            found.append(operation)
    return ReadLog(tuple(reversed(found)), tuple(reversed(damage)), last)


def compose(operation: Operation, digest: str, paths: Iterable[str]) -> bytes | None:
    """Return the document of an operation out of the catalog's row, if it has that digest with one of the paths.

    The catalog has a dataset's path as it is now, the document as it was then.
    """
    for path in (operation.path, *paths):
        document = replace(operation, path=path).to_document()
        if digest_of(document) == digest:
            return document
    return None


def _numbers(log: OperationLog) -> list[int]:
    try:
        return sorted(int(path.name) for path in log.folder.iterdir() if path.name.isdecimal() and len(path.name) >= 8)
    except FileNotFoundError:
        return []


def _read(path: Path) -> bytes | str:
    """Return an operation's bytes, or why they cannot be read."""
    if path.is_symlink() or not path.is_file():
        return NO_FILE
    try:
        return path.read_bytes()
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def _parsed(content: bytes | str) -> Operation | None:
    try:
        return Operation.from_document(content) if isinstance(content, bytes) else None
    except (MinianVCError, TypeError, ValueError):
        return None


def _trusted(
    contents: Mapping[int, bytes | str], known: KnownOperations, operations: Iterable[Operation]
) -> dict[int, str]:
    """Return the digests of those operations that the catalog knows for certain, if it is of the same history."""
    actual = {number: digest_of(content) for number, content in contents.items() if isinstance(content, bytes)}
    if len(contents) > 1 and not any(known[number][1] == actual.get(number) for number in known):
        return {}
    paths: dict[str, dict[str, None]] = {}
    for operation in operations:
        paths.setdefault(operation.dataset, {})[operation.path] = None
    return {
        number: digest
        for number, (operation, digest) in known.items()
        if actual.get(number) == digest or compose(operation, digest, paths.get(operation.dataset, ())) is not None
    }


def _problem(
    content: bytes | str, operation: Operation | None, number: int, expected: str | None, before: bytes | str | None
) -> str:
    """Return what is wrong with an operation, or nothing."""
    if isinstance(content, str):
        return content
    if expected is not None:
        return "" if digest_of(content) == expected else CHANGED
    if operation is None:
        return "" if _is_newer(content) else "it is no operation"
    previous = digest_of(before) if isinstance(before, bytes) else operation.previous
    follows = (
        operation.sequence == number and (number > 1 or operation.previous is None) and operation.previous == previous
    )
    return "" if follows else "it does not follow the one before it"


def _is_newer(content: bytes) -> bool:
    try:
        Operation.from_document(content)
    except MinianVCError as error:
        return error.exit_code == 7
    except (TypeError, ValueError):
        return False
    return False
