"""A repository whose documents somebody changed, with all digests made anew: nothing in it tells."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minian_vc.model import PREFIX, digest_of

Change = Callable[[dict[str, Any]], object]


def unchanged(_: dict[str, Any]) -> None:
    """Leave a document as it is."""


def tamper(
    root: Path, *, manifest: Change = unchanged, checkpoint: Change = unchanged, operation: Change = unchanged
) -> None:
    """Change every document of a kind; the catalog and the records of the working folder are made anew from them."""
    folder = root / ".minian_vc"
    known: dict[str, str] = {}  # digests of documents, before and after
    operations = []
    for path in sorted((folder / "operations").iterdir()):
        body = json.loads(path.read_bytes())
        body["checkpoint"] = _checkpoint(folder, body["checkpoint"], known, manifest, checkpoint)
        operations.append((path, body))
    previous = None
    for path, body in operations:
        body["previous"] = previous
        operation(body)
        content = encode(body)
        path.write_bytes(content)
        previous = digest_of(content)
    for path in folder.glob("catalog.sqlite*"):
        path.unlink()
    shutil.rmtree(folder / "working")
    (folder / "working").mkdir()


def _checkpoint(folder: Path, digest: str, known: dict[str, str], manifest: Change, checkpoint: Change) -> str:
    if digest in known:
        return known[digest]
    body = _read(folder, "checkpoints", digest)
    if body["parent"] is not None:
        body["parent"] = known.get(body["parent"], body["parent"])
    for array in body["arrays"]:
        array["manifest"] = _replaced(folder, "manifests", array["manifest"], known, manifest)
    checkpoint(body)
    known[digest] = _write(folder, "checkpoints", body)
    return known[digest]


def _replaced(folder: Path, kind: str, digest: str, known: dict[str, str], change: Change) -> str:
    if digest not in known:
        body = _read(folder, kind, digest)
        change(body)
        known[digest] = _write(folder, kind, body)
    return known[digest]


def _path(folder: Path, kind: str, digest: str) -> Path:
    name = digest.removeprefix(PREFIX)
    return folder / "objects" / kind / name[:2] / name[2:]


def _read(folder: Path, kind: str, digest: str) -> dict[str, Any]:
    return json.loads(_path(folder, kind, digest).read_bytes())


def _write(folder: Path, kind: str, body: dict[str, Any]) -> str:
    content = encode(body)
    path = _path(folder, kind, digest_of(content))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return digest_of(content)


def encode(body: dict[str, Any]) -> bytes:
    """Encode as documents are, with NaN and lone surrogates where somebody put them."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


Place = tuple[str | int, ...]


def places(body: Any, at: Place = ()) -> Iterator[Place]:
    """Yield where in a document there is a value, however deep; of a list only its first item."""
    if isinstance(body, dict):
        for key, value in body.items():
            yield (*at, key)
            yield from places(value, (*at, key))
    elif isinstance(body, list) and body:
        yield (*at, 0)
        yield from places(body[0], (*at, 0))


def put(place: Place, value: Any) -> Change:
    """Return a change that puts a value at a place, where there is one."""

    def change(body: dict[str, Any]) -> None:
        at: Any = body
        for step in place[:-1]:
            has = step in at if isinstance(at, dict) else isinstance(at, list) and len(at) > 0
            if not has:
                return
            at = at[step]
        if (isinstance(at, dict) and place[-1] in at) or (isinstance(at, list) and at):
            at[place[-1]] = copy.deepcopy(value)

    return change
