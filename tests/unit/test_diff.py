"""What changed between two sets of array versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import coordinate, manifest_of, version, write_file, write_units

from minian_vc.diff import ArrayChange, Diff, UnitChanges, compare, same_units_by_chunk
from minian_vc.model import ArrayVersion, Manifest, digest_of
from minian_vc.params import MISSING

CHANGED = UnitChanges(changed=(1,))


def never(*_: ArrayVersion) -> UnitChanges:
    """Nobody should ask."""
    raise AssertionError("units were compared")


def test_arrays_are_new_deleted_modified_or_unchanged_by_name() -> None:
    """Sorted by name; equal manifests are unchanged, and then nobody looks at values."""
    a, c, b = version("A"), version("C"), version("b", unit_ids=None)
    s = version("S", unit_ids=(7,))
    modified = version("C", manifest=digest_of(b"else"))
    changes = compare([a, c, b], [a, modified, s], lambda *_: CHANGED)
    assert [(change.name, change.state) for change in changes] == [
        ("A", "unchanged"),
        ("C", "modified"),
        ("S", "new"),
        ("b", "deleted"),
    ]
    by_name = {change.name: change.units for change in changes}
    assert by_name == {
        "A": UnitChanges(unchanged=(0, 1, 2)),
        "C": CHANGED,
        "S": UnitChanges(added=(7,)),
        "b": None,
    }
    assert compare([a, b], [a, b], never)[0].fields == {}
    assert compare([a], [], never) == [ArrayChange("A", "deleted", units=UnitChanges(removed=(0, 1, 2)))]


def test_what_differs_in_the_description_is_told_old_and_new() -> None:
    """Shape, dtype, chunks and coordinates each with both sides; what is equal is left out."""
    was = version("C", unit_ids=None, coordinates=(coordinate("frame", range(5)), coordinate("x", [1])))
    now = version(
        "C",
        unit_ids=None,
        shape=(4,),
        dtype="float32",
        manifest=digest_of(b"else"),
        coordinates=(coordinate("frame", range(4)), coordinate("y", [1])),
    )
    (change,) = compare([was], [now], never)
    assert change.fields == {
        "shape": ((5,), (4,)),
        "dtype": ("float64", "float32"),
        "chunks": ({"frame": 5}, {"frame": 4}),
        "coords": (["frame", "x"], ["frame", "y"]),
    }
    assert change.units is None


def test_units_are_not_compared_where_one_side_has_none() -> None:
    """An array that lost its units is modified, and nothing is said of units."""
    (change,) = compare([version("A")], [version("A", unit_ids=None, manifest=digest_of(b"x"))], never)
    assert (change.state, change.units) == ("modified", None)
    assert set(change.fields) == {"dims", "shape", "chunks"}


# -- units from chunk digests -----------------------------------------------------------------


def side(folder: Path, units: tuple, values: Any, **options: Any) -> tuple[ArrayVersion, Manifest]:
    """An array on disk, one unit per chunk, as one side of a diff."""
    write_units(folder / "A.zarr", units, values, **options)
    shape = np.shape(values)
    return version("A", unit_ids=units, shape=shape), manifest_of(folder / "A.zarr")


VALUES = np.arange(12.0).reshape(3, 4)


def test_units_whose_chunks_are_the_same_bytes_are_the_same(tmp_path: Path) -> None:
    """Found by id, wherever the chunk lies in either array; of changed units nothing is said."""
    now = VALUES[[2, 0, 1]].copy()
    now[1, 0] = 99
    was, new = side(tmp_path / "1", (5, 6, 7), VALUES), side(tmp_path / "2", (7, 5, 8), now)
    assert same_units_by_chunk(*was, *new) == {7}
    assert same_units_by_chunk(*was, *was) == {5, 6, 7}


def test_units_that_were_dropped_leave_the_others_the_same(tmp_path: Path) -> None:
    """The number of units is no difference in encoding."""
    was, new = side(tmp_path / "1", (5, 6, 7), VALUES), side(tmp_path / "2", (5, 7), VALUES[[0, 2]])
    assert same_units_by_chunk(*was, *new) == {5, 7}


def test_nothing_is_said_where_equal_bytes_may_mean_other_values(tmp_path: Path) -> None:
    """Another fill value, dtype of the same size, frame count or frame coordinate is another encoding."""
    was = side(tmp_path / "1", (5, 6, 7), VALUES)
    assert same_units_by_chunk(*was, *side(tmp_path / "2", (5, 6, 7), VALUES, fill_value=1)) == frozenset()
    array, manifest = side(tmp_path / "3", (5, 6, 7), VALUES)
    document = tmp_path / "3/A.zarr/A/.zarray"
    write_file(document, document.read_bytes().replace(b"<f8", b"<i8"))
    assert same_units_by_chunk(*was, array, manifest_of(tmp_path / "3/A.zarr")) == frozenset()
    moved = version("A", unit_ids=(5, 6, 7), shape=(3, 4), coordinates=(coordinate("frame", range(1, 5)),))
    assert same_units_by_chunk(*was, moved, manifest) == frozenset()


def test_nothing_is_said_of_chunks_with_several_units_or_that_are_not_there(tmp_path: Path) -> None:
    """A chunk of two units cannot tell which of them changed; a missing chunk tells nothing."""
    was = side(tmp_path / "1", (5, 6, 7), VALUES)
    several = version("A", unit_ids=(5, 6, 7), shape=(3, 4), chunks={"unit_id": 2, "frame": 4})
    assert same_units_by_chunk(several, was[1], several, was[1]) == frozenset()
    without = Manifest({key: entry for key, entry in was[1].items() if key != "A/1.0"})
    assert same_units_by_chunk(was[0], without, was[0], without) == {5, 7}


@pytest.mark.parametrize("separator", ["/", "."])
def test_units_are_found_in_format_3(tmp_path: Path, separator: str) -> None:
    """Chunk keys of format 3 tell the unit as those of format 2 do, in either encoding."""

    def write(folder: Path, values: np.ndarray) -> Manifest:
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(values.shape),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 2]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": separator}},
            "data_type": "float64",
            "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "dimension_names": ["unit_id", "frame"],
        }
        write_file(folder / "zarr.json", b'{"zarr_format":3,"node_type":"group"}')
        write_file(folder / "A/zarr.json", json.dumps(document).encode())
        for unit, row in enumerate(values):
            for part in range(2):
                name = separator.join(["c", str(unit), str(part)])
                write_file(folder / "A" / name, row[2 * part : 2 * part + 2].tobytes())
        return manifest_of(folder)

    now = VALUES.copy()
    now[1, 3] = 99
    array = version("A", unit_ids=(5, 6, 7), shape=(3, 4), chunks={"unit_id": 1, "frame": 2}, zarr_format=3)
    old, new = write(tmp_path / "1", VALUES), write(tmp_path / "2", now)
    assert same_units_by_chunk(array, old, array, new) == {5, 7}


# -- the whole of a diff ----------------------------------------------------------------------


def test_a_diff_is_the_sequence_of_its_array_changes() -> None:
    """What took the list of changes takes the diff: length, index, slice, iteration, equality."""
    a, b = ArrayChange("A", "new"), ArrayChange("b", "deleted")
    diff = Diff((a, b), "0123456789 (one)", "the working folder", {"p": (1, MISSING)})
    assert (len(diff), diff[0], diff[-1], diff[:1], list(diff), a in diff) == (2, a, b, [a], [a, b], True)
    assert diff == [a, b]
    assert [a, b] == diff
    assert diff == (a, b)
    assert diff != [b, a]
    assert diff != {a.name: a}
    assert [change.name for change in reversed(diff)] == ["b", "A"]
    assert not Diff(())


def test_diffs_are_equal_in_all_they_say() -> None:
    """Parameters and what was compared count too; a diff cannot be changed."""
    changes = (ArrayChange("A", "new"),)
    assert Diff(changes, "x", "y", {"p": (1, 2)}) == Diff(changes, "x", "y", {"p": (1, 2)})
    others = [Diff(changes, "x", "y"), Diff(changes, "x", "z", {"p": (1, 2)}), Diff((), "x", "y", {"p": (1, 2)})]
    assert all(Diff(changes, "x", "y", {"p": (1, 2)}) != other for other in others)
    with pytest.raises(AttributeError):
        Diff(changes).old = "x"


def test_a_diff_looks_like_its_changes() -> None:
    """As lines in a terminal, as HTML in a notebook; a missing parameter is a dash."""
    diff = Diff((ArrayChange("A", "new"),), "one", "two", {"p": (1, MISSING), "q": ("1", "<b>")})
    assert repr(diff).splitlines() == [
        "<Changes from one to two: 1 of 1 arrays>",
        "  p: 1 → —",
        "  q: '1' → <b>",
        "  new       A",
    ]
    assert "&lt;b&gt;" in diff._repr_html_()
    assert "<b>" not in diff._repr_html_()
