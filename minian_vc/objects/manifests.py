"""Which documents a manifest is stored as: a large one is split, so that a small change stores little."""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3

from minian_vc.model import Manifest, digest_of, to_document

__all__ = ["manifest_digest", "manifest_documents"]

SPLIT_ABOVE = 1024  # entries of a manifest in one document
CUT_BITS = 9  # a part of a split manifest has 512 entries on average


def manifest_documents(manifest: Manifest) -> list[bytes]:
    """Return the documents a manifest is stored as: its parts, then the root whose digest names it."""
    parts: list[bytes] = []
    entries = {key: entry.to_json() for key, entry in manifest.items()}
    if len(entries) > SPLIT_ABOVE:
        parts = [to_document("manifest_part", {"entries": part}) for part in _cut(entries)]
        entries = {}
    root = {"entries": entries, "parts": [digest_of(part) for part in parts]}
    return [*parts, to_document("manifest", root)]


def manifest_digest(manifest: Manifest) -> str:
    """Return the digest a manifest has or would have in the store."""
    return digest_of(manifest_documents(manifest)[-1])


def _cut(entries: dict[str, list[object]]) -> Iterator[dict[str, list[object]]]:
    """Cut sorted entries after each key whose own digest begins with ``CUT_BITS`` zero bits.

    The cuts depend on the keys alone: a changed chunk changes one part, not those after it.
    """
    part: dict[str, list[object]] = {}
    for key, entry in entries.items():
        part[key] = entry
        if int.from_bytes(blake3(key.encode()).digest(2)) >> (16 - CUT_BITS) == 0:
            yield part
            part = {}
    if part:
        yield part
