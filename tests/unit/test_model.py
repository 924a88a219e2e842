"""The nouns and their documents."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from handmade import coordinate, version

from minian_vc.errors import DamagedError, EnvironmentUnfitError
from minian_vc.model import (
    ArrayVersion,
    Checkpoint,
    FileEntry,
    Manifest,
    Operation,
    canonical_json,
    digest_of,
    parse_document,
    timestamp,
    to_document,
)

OPERATION = Operation(7, digest_of(b"6"), "commit", "d" * 16, "m1/minian", digest_of(b"c"), "first", timestamp())


def checkpoint(**changes: object) -> Checkpoint:
    """A checkpoint with arrays of all kinds."""
    arrays = (
        version("A", coordinates=(coordinate("frame", range(5)),)),
        version("C"),
        version("b", unit_ids=None, animal=None, session=None, missing_chunks=3, bytes_kept=False),
        version("named", unit_ids=("x", "ÿ", 3)),
        version("none", unit_ids=()),
    )
    made_up = {
        "dataset": "0123456789abcdef",
        "parent": None,
        "sequence": 1,
        "message": "après ✓",
        "author": "me@here",
        "created_at": timestamp(),
        "arrays": arrays,
        "provenance": {"params": {"sparse_penal": 0.01}},
    }
    return Checkpoint(**{**made_up, **changes})


def test_equal_values_have_equal_bytes_whatever_their_order() -> None:
    """Canonical JSON sorts keys, has no blanks, and keeps letters as they are."""
    assert canonical_json({"b": 1, "a": [1.5, "é", None]}) == '{"a":[1.5,"é",null],"b":1}'.encode()
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    """NaN and infinity have no canonical form."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


def test_a_checkpoint_comes_back_from_its_document_as_it_was() -> None:
    """Document and back gives the same checkpoint, its id being the digest of the document."""
    original = checkpoint()
    document = original.to_document()
    assert Checkpoint.from_document(document) == replace(original, id=digest_of(document))
    assert Checkpoint.from_document(document, ("t",)).tags == ("t",)
    assert Checkpoint.from_document(document).to_document() == document


def test_id_and_tags_are_not_in_the_document() -> None:
    """A tag given later does not change the id."""
    assert checkpoint(created_at="x").to_document() == checkpoint(created_at="x", id="i", tags=("t",)).to_document()


def test_a_unit_set_is_in_the_document_once() -> None:
    """Arrays that share their units share one list in the document."""
    document = json.loads(checkpoint().to_document())
    assert len(document["unit_sets"]) == 3
    assert {tuple(units) for units in document["unit_sets"].values()} == {(), (0, 1, 2), ("x", "ÿ", 3)}


def test_the_digest_of_an_array_version_is_that_of_its_whole_description() -> None:
    """Whatever differs gives another digest, and what is equal the same."""
    assert version().digest == version().digest
    others = [
        version(unit_ids=(0, 2, 1)),
        version(unit_ids=("0", "1", "2")),
        version(dtype="float32"),
        version(folder="A"),
        version(bytes_kept=False),
        version(session="session2"),
        version(coordinates=(coordinate("frame", range(5)),)),
        version(chunks={"unit_id": 3, "frame": 5}),
    ]
    assert len({version().digest, *(other.digest for other in others)}) == len(others) + 1


def test_arrays_and_coordinates_are_found_by_name() -> None:
    """A name that is not there gives None."""
    found = checkpoint().array("A")
    assert isinstance(found, ArrayVersion)
    assert found.coordinate("frame") == coordinate("frame", range(5))
    assert found.coordinate("height") is None
    assert checkpoint().array("nothing") is None


def test_an_operation_comes_back_from_its_document_as_it_was() -> None:
    """Document and back gives the same operation, also without a tag or one before it."""
    for operation in (OPERATION, replace(OPERATION, previous=None, tag=None)):
        assert Operation.from_document(operation.to_document()) == operation


@pytest.mark.parametrize("content", [b"\x00\x01zarr", b"x" * 300, b""])
def test_a_manifest_entry_comes_back_with_its_bytes(content: bytes) -> None:
    """An inline entry and one without bytes are the same after JSON."""
    for entry in (FileEntry.of(content), FileEntry(digest_of(content), len(content))):
        assert FileEntry.from_json(json.loads(canonical_json(entry.to_json()))) == entry


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_inline_entry_that_was_tampered_with_is_refused(place: int) -> None:
    """Digest, size and bytes of an inline entry must agree."""
    entry = FileEntry.of(b"some bytes").to_json()
    entry[place] = [digest_of(b"other"), 9, "c29tZSBieXRlcw=="[:-4] + "ZXo="][place]
    with pytest.raises(DamagedError):
        FileEntry.from_json(entry)


def test_a_manifest_is_sorted_and_counts_its_bytes() -> None:
    """However a manifest is made, its keys come in one order."""
    entries = {"b": FileEntry.of(b"12"), "a/.zarray": FileEntry.of(b"3"), "a/0": FileEntry(digest_of(b"x"), 10)}
    manifest = Manifest(entries)
    assert list(manifest) == ["a/.zarray", "a/0", "b"]
    assert manifest.size == 13
    assert manifest == Manifest(dict(reversed(entries.items())))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b'{"kind":"checkpoint"',
        b"[1]",
        b'"checkpoint"',
        b"[" * 100_000,
        canonical_json({"kind": "operation", "version": 1}),
        canonical_json({"kind": "checkpoint"}),
    ],
    ids=["empty", "no text", "cut off", "list", "string", "deep", "another kind", "no version"],
)
def test_what_is_no_document_of_that_kind_is_damaged(content: bytes) -> None:
    """Anything but a whole document of the right kind is refused."""
    with pytest.raises(DamagedError):
        parse_document(content, "checkpoint")


@pytest.mark.parametrize("kind", ["checkpoint", "operation"])
def test_a_document_of_a_newer_version_asks_for_a_newer_program(kind: str) -> None:
    """A newer document is not damaged: the program is too old for it."""
    newer = canonical_json({"kind": kind, "version": 2, "something": "new"})
    with pytest.raises(EnvironmentUnfitError, match="version 2") as refused:
        parse_document(newer, kind)
    assert "newer minian_vc" in refused.value.hint


@pytest.mark.parametrize("missing", sorted(json.loads(checkpoint().to_document())))
def test_a_checkpoint_document_that_lacks_something_is_damaged(missing: str) -> None:
    """Each part of the document must be there."""
    document = json.loads(checkpoint().to_document())
    del document[missing]
    with pytest.raises(DamagedError):
        Checkpoint.from_document(canonical_json(document))


@pytest.mark.parametrize("missing", sorted(json.loads(OPERATION.to_document())))
def test_an_operation_document_that_lacks_something_is_damaged(missing: str) -> None:
    """Each part of the document must be there."""
    document = json.loads(OPERATION.to_document())
    del document[missing]
    with pytest.raises(DamagedError):
        Operation.from_document(canonical_json(document))


@pytest.mark.parametrize("bad", [{"arrays": [3]}, {"arrays": [{"name": "A"}]}, {"unit_sets": []}, {"arrays": None}])
def test_a_checkpoint_document_with_the_wrong_things_in_it_is_damaged(bad: dict) -> None:
    """Parts of another type than they should be are refused, not passed on."""
    document = json.loads(checkpoint().to_document())
    with pytest.raises(DamagedError):
        Checkpoint.from_document(canonical_json({**document, **bad}))


def test_documents_say_their_kind_and_version() -> None:
    """Every document can be told from every other by itself."""
    assert json.loads(to_document("manifest", {})) == {"kind": "manifest", "version": 1}
