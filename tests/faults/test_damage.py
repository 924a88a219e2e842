"""The table of damages: all are found, named with the versions that they touch, and healed where there is a copy."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import damaging
import pytest
from damaging import DAMAGES, SAME_SIZE, Lab

import minian_vc as mvc
from minian_vc.health.report import Damage

FLIPS = int(os.environ.get("MINIAN_VC_DAMAGES", "60"))  # of bits in the catalog
SEED = 6


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The history, whole."""
    with pytest.MonkeyPatch.context() as patch:
        lab = damaging.build(tmp_path_factory.mktemp("whole") / "lab", patch)
        assert mvc.verify(lab.root).damage == ()
        yield lab


def arrays_of(lab: Lab, number: int) -> dict[str, dict]:
    """The array versions in the document of the checkpoint that an operation recorded, by name."""
    operation = json.loads((lab.folder / f"operations/{number:08d}").read_bytes())
    document = json.loads(lab.object("checkpoints", operation["checkpoint"]).read_bytes())
    return {array["name"]: array for array in document["arrays"]}


def manifest(lab: Lab, digest: str) -> dict:
    """A manifest document."""
    return json.loads(lab.object("manifests", digest).read_bytes())


def checkpoint(lab: Lab, number: int) -> Path:
    """The document of the checkpoint that an operation is about."""
    operation = json.loads((lab.folder / f"operations/{number:08d}").read_bytes())
    return lab.object("checkpoints", operation["checkpoint"])


def chunk(lab: Lab, number: int, name: str, key: str) -> Path:
    """A chunk object of an array version."""
    return lab.object("chunks", manifest(lab, arrays_of(lab, number)[name]["manifest"])["entries"][key][0])


def the_manifest(lab: Lab, number: int, name: str) -> Path:
    """The root of an array version's manifest."""
    return lab.object("manifests", arrays_of(lab, number)[name]["manifest"])


def part(lab: Lab, number: int) -> Path:
    """The first part of a split manifest: it names the first chunk."""
    parts = manifest(lab, arrays_of(lab, number)["W"]["manifest"])["parts"]
    assert len(parts) > 1
    return lab.object("manifests", next(each for each in parts if "W/0" in manifest(lab, each)["entries"]))


LATEST = 4  # the operation that recorded the latest checkpoint of m; 2 recorded that of n
VICTIMS: dict[str, tuple[Callable[[Lab], Path], bool]] = {  # and whether a copy can be found or made
    "a chunk of the latest version": (lambda lab: chunk(lab, LATEST, "C", "C/0.0"), True),
    "a chunk that two datasets share": (lambda lab: chunk(lab, LATEST, "A", "A/0.0"), True),
    "a coordinate": (lambda lab: chunk(lab, LATEST, "A", "frame/0"), True),
    "a chunk of an old version": (lambda lab: chunk(lab, 1, "C", "C/0.0"), False),
    "a manifest": (lambda lab: the_manifest(lab, LATEST, "C"), True),
    "a manifest that has parts": (lambda lab: the_manifest(lab, LATEST, "W"), True),
    "a part of a manifest": (lambda lab: part(lab, LATEST), True),
    "a manifest of an old version": (lambda lab: the_manifest(lab, 1, "C"), False),
    "the first checkpoint": (lambda lab: checkpoint(lab, 1), True),
    "the latest checkpoint": (lambda lab: checkpoint(lab, LATEST), True),
    "a dropped checkpoint": (lambda lab: lab.object("checkpoints", lab.dropped), False),
    "the first operation": (lambda lab: lab.folder / "operations/00000001", True),
    "an operation in the middle": (lambda lab: lab.folder / "operations/00000004", True),
    "the last operation": (lambda lab: max((lab.folder / "operations").iterdir()), True),
}


def touched(lab: Lab, path: Path) -> set[tuple[str, str, str | None]]:
    """The versions that need an object, as the truth has it; a document's checkpoint has no array named."""
    digest = f"blake3:{path.parent.name}{path.name}"
    if path.parent.name == "operations":
        operation = json.loads(path.read_bytes())
        return {(operation["dataset"], operation["checkpoint"], None)}
    if path.parts[-3] == "checkpoints":
        return {(name, each, None) for name, each, _ in lab.contents if each == digest}
    return set(lab.needs[digest])


def named(damage: Damage) -> set[tuple[str, str, str | None]]:
    """The versions that a report names."""
    found = set()
    for each in damage.affects:
        found |= {(each.dataset, each.checkpoint, name) for name in each.arrays or (None,)}
    return found


@pytest.mark.many
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_named_and_healed(built: Lab, tmp_path: Path, victim: str, damage: str) -> None:
    """Verify names what is damaged and the versions that need it; repair heals it where a copy is, and nothing else."""
    lab = built.copy(tmp_path / "lab")
    find, has_copy = VICTIMS[victim]
    path = find(lab)
    truth, size, before = touched(lab, path), path.stat().st_size, path.read_bytes()
    DAMAGES[damage](path)

    report = mvc.verify(lab.root)
    found = {each.path: each for each in report.damage}
    assert path in found, report
    if path.parent.name == "operations":
        assert {checkpoint for _, checkpoint, _ in truth} == {checkpoint for _, checkpoint, _ in named(found[path])}
    else:
        assert named(found[path]) == truth
    assert not report.whole
    assert {each.path for each in report.damage} == ({path} if damage != "swapped" else {path, *found})

    quick = {each.path for each in mvc.verify(lab.root, quick=True).damage}
    is_seen_at_a_glance = (
        path.parts[-3] != "chunks" or path.is_symlink() or not (path.is_file() and path.stat().st_size == size)
    )
    assert (path in quick) == is_seen_at_a_glance or damage in SAME_SIZE

    done = mvc.repair(lab.root, dry_run=False)
    heals = has_copy or damage in ("swapped", "a link")
    assert (path in {each.damage.path for each in done.healed}) == heals, done
    assert done.whole == heals
    if heals:
        assert path.read_bytes() == before
        assert not path.is_symlink()
        assert mvc.verify(lab.root).damage == ()
        damaging.assert_all_there(lab)
    elif path.parts[-3] != "checkpoints":
        assert {(each.dataset, each.checkpoint) for each in done.affected} == {version[:2] for version in truth}


# -- the catalog ------------------------------------------------------------------------------


def page_size(catalog: Path) -> int:
    """The size of a database's pages."""
    return int.from_bytes(catalog.read_bytes()[16:18], "big")


def without_a_page(catalog: Path) -> None:
    """Cut the last page off."""
    os.truncate(catalog, catalog.stat().st_size - page_size(catalog))


def zeroed(catalog: Path) -> None:
    """Let a page in the middle be zeros, as a file system may after a power cut."""
    size = page_size(catalog)
    content = bytearray(catalog.read_bytes())
    at = len(content) // size // 2 * size
    content[at : at + size] = bytes(size)
    catalog.write_bytes(content)


def pages_swapped(catalog: Path) -> None:
    """Exchange the second page and the third."""
    size, content = page_size(catalog), catalog.read_bytes()
    swapped = content[:size] + content[2 * size : 3 * size] + content[size : 2 * size] + content[3 * size :]
    catalog.write_bytes(swapped)


def changed(statement: str) -> Callable[[Path], None]:
    """Change rows behind the program's back."""

    def change(catalog: Path) -> None:
        with closing(sqlite3.connect(catalog)) as connection, connection:
            connection.execute(statement)

    return change


CATALOG_DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated": DAMAGES["truncated"],
    "without its last page": without_a_page,
    "emptied": DAMAGES["emptied"],
    "a page of zeros": zeroed,
    "two pages swapped": pages_swapped,
    "another file": lambda catalog: catalog.write_bytes(b"something else" * 1000) and None,
    "deleted": Path.unlink,
    "a link": DAMAGES["a link"],
    "a folder": DAMAGES["a folder"],
    "a row changed": changed("UPDATE tag SET name = 'other' WHERE name = 'only'"),
    "a row lost": changed("DELETE FROM array_coordinate WHERE rowid = (SELECT max(rowid) FROM array_coordinate)"),
    "an operation's digest changed": changed("UPDATE operation SET digest = 'blake3:0' WHERE sequence = 3"),
    "an index lost": changed("DROP INDEX ix_tag_checkpoint_id"),
    "a trigger": changed("CREATE TRIGGER t AFTER INSERT ON tag BEGIN DELETE FROM tag; END"),
    "another schema": changed("UPDATE alembic_version SET version_num = '9999'"),
    "an older schema": changed("UPDATE alembic_version SET version_num = '0002'"),
    "another owner": changed("PRAGMA application_id = 1"),
}


@pytest.mark.parametrize("damage", CATALOG_DAMAGES)
@pytest.mark.parametrize("by", ["rebuild", "repair"])
def test_a_damaged_catalog_is_found_and_made_anew(built: Lab, tmp_path: Path, damage: str, by: str) -> None:
    """Rebuild and repair make the same catalog again, row for row; no version is affected; nothing is removed."""
    lab = built.copy(tmp_path / "lab")
    CATALOG_DAMAGES[damage](lab.catalog)
    report = mvc.verify(lab.root)
    assert [(each.kind, each.path) for each in report.damage] == [("catalog", lab.catalog)]
    assert (report.whole, report.affected) == (False, ())
    if by == "repair":
        assert mvc.repair(lab.root, dry_run=False).whole
    else:
        kept = mvc.rebuild(lab.root).kept
        assert (kept is not None) == (damage != "deleted")
        assert kept is None or os.path.lexists(kept)
    assert mvc.verify(lab.root).damage == ()
    damaging.assert_all_there(lab)


def is_as_good_as_before(lab: Lab) -> bool:
    """Whether all that can be read from a catalog is what it was, SQLite finds nothing, and it can be written to."""
    with closing(sqlite3.connect(lab.catalog, isolation_level=None)) as connection:
        (checked,) = connection.execute("PRAGMA integrity_check").fetchone()
        same = list(connection.iterdump()) == lab.dump
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO session (digest) VALUES ('x')")
        connection.execute("ROLLBACK")
    return checked == "ok" and same


def bits(content: bytes, size: int) -> list[tuple[int, int]]:
    """Places of bits: in the file's header, in the headers of pages, and anywhere."""
    chance = random.Random(SEED)  # noqa: S311
    third = max(FLIPS // 3, 1)
    places = chance.sample(range(100), min(third, 100))
    places += [
        chance.randrange(len(content) // size) * size + 100 * (i % 2) + chance.randrange(12) for i in range(third)
    ]
    places += [chance.randrange(len(content)) for _ in range(third)]
    return [(place, chance.randrange(8)) for place in places]


def test_flipped_bits_of_the_catalog_are_found_or_change_nothing(
    built: Lab, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each bit that makes any difference to what can be read or written is found, and the catalog is made anew."""
    lab = built.copy(tmp_path / "lab")
    whole = lab.catalog.read_bytes()
    found = 0
    places = bits(whole, page_size(lab.catalog))
    for place, bit in places:
        content = bytearray(whole)
        content[place] ^= 1 << bit
        lab.catalog.write_bytes(content)
        report = mvc.verify(lab.root)
        if report.whole:
            assert is_as_good_as_before(lab), f"bit {bit} of byte {place}"
        else:
            found += 1
            assert [each.kind for each in report.damage] == ["catalog"]
            mvc.rebuild(lab.root)
            assert damaging.dump(lab.catalog) == lab.dump, f"bit {bit} of byte {place}"
    assert found
    told = f"{len(places)} bits of the catalog flipped: {found} found and healed, {len(places) - found} change nothing"
    record_property("faults", told)
    print(told)
