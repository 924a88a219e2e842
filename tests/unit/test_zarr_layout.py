"""What a zarr format 2 group is on disk, byte by byte."""

from __future__ import annotations

import json

import pytest

from minian_vc.zarr_layout import BLOSC_LZ4, StoredArray, guess_chunks, metadata_files

C = StoredArray(
    "C", (3, 4), (1, 4), "<f8", "NaN", BLOSC_LZ4, attributes={"units": "µ", "_ARRAY_DIMENSIONS": ["unit_id", "frame"]}
)
SESSION = StoredArray("session", (), (), "|O", None, None, ({"id": "vlen-utf8"},), {"_ARRAY_DIMENSIONS": []})


def test_a_group_has_its_files_and_all_of_them_consolidated() -> None:
    """Two files of the group, two of each array, and ``.zmetadata``, which says what they say."""
    files = metadata_files([C, SESSION], {"title": "t"})
    told = json.loads(files.pop(".zmetadata"))
    assert told["zarr_consolidated_format"] == 1
    assert told["metadata"] == {key: json.loads(content) for key, content in files.items()}
    assert set(files) == {".zgroup", ".zattrs", "C/.zarray", "C/.zattrs", "session/.zarray", "session/.zattrs"}
    assert json.loads(files[".zattrs"]) == {"title": "t"}


def test_metadata_has_zarrs_own_bytes() -> None:
    """Sorted keys, four spaces, nothing but ASCII, no newline at the end."""
    files = metadata_files([C], {})
    assert files[".zgroup"] == b'{\n    "zarr_format": 2\n}'
    assert files[".zattrs"] == b"{}"
    assert files["C/.zattrs"].endswith(b'    "units": "\\u00b5"\n}')
    assert list(json.loads(files["C/.zarray"])) == sorted(C.to_document())


def test_an_array_without_filters_has_null() -> None:
    """Not an empty list, which zarr 2 does not write."""
    assert C.to_document()["filters"] is None
    assert SESSION.to_document()["filters"] == [{"id": "vlen-utf8"}]
    assert SESSION.to_document()["compressor"] is None


@pytest.mark.parametrize(  # what zarr 2.18.7 chose: zarr.util.guess_chunks
    ("shape", "itemsize", "chunks"),
    [
        ((), 8, ()),
        ((0,), 8, (1,)),
        ((0, 5), 8, (1, 5)),
        ((1,), 8, (1,)),
        ((100,), 8, (100,)),
        ((100_000,), 8, (25_000,)),
        ((1_000_000,), 1, (250_000,)),
        ((700, 500), 8, (175, 250)),
        ((300, 20_000), 8, (38, 2500)),
        ((1000, 480, 752), 1, (125, 60, 188)),
        ((5000, 600, 600), 4, (313, 38, 75)),
        ((10**12,), 8, (3_814_698,)),
        ((3,), 10**9, (1,)),
    ],
)
def test_arrays_in_memory_are_cut_as_zarr_2_cuts_them(
    shape: tuple[int, ...], itemsize: int, chunks: tuple[int, ...]
) -> None:
    """Halved dim after dim until they are small enough; never beyond 64 MiB."""
    assert guess_chunks(shape, itemsize) == chunks
