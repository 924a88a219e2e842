"""The zarr formats 2 and 3, read as JSON."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from conftest import INTERMEDIATE, STAGES
from handmade import files_of, write_array
from hypothesis import given, settings
from hypothesis import strategies as st

from minian_vc.errors import UnreadableError
from minian_vc.zarr_format import (
    ArrayMetadata,
    chunk_key,
    count_chunks,
    expected_chunks,
    is_save_in_progress,
    is_zarr,
    missing_chunks,
    read_array_folder,
    rename_variable,
    stem,
)

ZARR_3 = int(zarr.__version__.split(".")[0]) >= 3
FORMATS = (2, 3) if ZARR_3 else (2,)
DTYPES = [
    "b1",
    "i1",
    "<i2",
    "<i8",
    "u1",
    "<u4",
    "<f2",
    "<f4",
    "<f8",
    ">f8",
    "<c8",
    "<c16",
    "<M8[ns]",
    "<m8[s]",
    "<U7",
    "S5",
]


def v2(shape: Any = (4, 6), chunks: Any = (2, 3), dtype: Any = "<f8", **more: Any) -> dict:
    """A ``.zarray`` document."""
    return {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": None, **more}


def v3(shape: Any = (4, 6), chunks: Any = (2, 3), data_type: Any = "float64", **more: Any) -> dict:
    """A ``zarr.json`` document of an array."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "data_type": data_type,
        "fill_value": 0,
        **more,
    }


def read(name: str, documents: dict[str, Any]) -> Any:
    """Read an array folder whose documents are given as Python values."""
    files = {key: value if isinstance(value, bytes) else json.dumps(value).encode() for key, value in documents.items()}
    return read_array_folder(name, files, files.__getitem__)


def variable(document: dict[str, Any], attributes: dict[str, Any] | None = None) -> ArrayMetadata:
    """Read one bare array."""
    if document["zarr_format"] == 3:
        return read("A", {"zarr.json": document}).variable
    return read("A", {".zarray": document, ".zattrs": attributes or {}}).variable


# -- real arrays ------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [STAGES[2], STAGES[6]])
def test_real_arrays_are_read_as_zarr_reads_them(stages: Path, stage: str) -> None:
    """Shape, chunks, dtype, dimensions and coordinates of MiniAn's arrays are those zarr sees; no chunk is missing."""
    folders = sorted((stages / stage / INTERMEDIATE).glob("*.zarr"))
    assert len(folders) > 10
    for folder in folders:
        files = files_of(folder)
        found = read_array_folder(stem(folder.name), files, files.__getitem__)
        assert found.variable.path == stem(folder.name)
        for meta in (found.variable, *found.coordinates.values()):
            array = zarr.open_array(str(folder / meta.path), mode="r")
            assert (meta.zarr_format, meta.shape, meta.chunks) == (2, array.shape, array.chunks)
            assert list(meta.dims) == array.attrs["_ARRAY_DIMENSIONS"]
            assert meta.dtype in (array.dtype.name, array.dtype.str)
            assert missing_chunks(meta, files) == 0
            chunks = {key for key in files if key.rpartition("/")[0] == meta.path and "/." not in key}
            assert set(expected_chunks(meta)) == chunks
        beside = {path.name for path in folder.iterdir() if path.is_dir()} - {found.variable.path}
        of_its_dims = {name for name in beside if name in (*found.variable.dims, "animal", "session")}
        assert of_its_dims <= set(found.coordinates)
        assert all(set(meta.dims) <= set(found.variable.dims) for meta in found.coordinates.values())


@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_zarr_writes_is_read_as_zarr_reads_it(tmp_path: Path, dtype: str, zarr_format: int) -> None:
    """Every dtype has numpy's name; shape, chunks, size in memory and chunk keys are zarr's own."""
    values = np.ones((3, 4)).astype(np.dtype(dtype))
    options: dict[str, Any] = {"zarr_format": zarr_format} if ZARR_3 else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.open_array(
            str(tmp_path / "A"), mode="w", shape=(3, 4), chunks=(2, 3), dtype=values.dtype, **options
        )
        array[...] = values
        array = zarr.open_array(str(tmp_path / "A"), mode="r")
    files = files_of(tmp_path / "A")
    meta = read_array_folder("A", files, files.__getitem__).variable
    plain = np.dtype(dtype).newbyteorder("=")
    names = {plain.name} if plain.kind in "biufcmM" else {plain.str, "null_terminated_bytes"}
    assert meta.dtype in names
    assert (meta.shape, meta.chunks, meta.zarr_format) == (array.shape, array.chunks, zarr_format)
    assert meta.nbytes == values.nbytes
    assert {key for key in files if not key.rpartition("/")[2].startswith((".z", "zarr"))} == set(expected_chunks(meta))
    assert missing_chunks(meta, files) == 0


@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3, 1)])
def test_scalars_and_empty_arrays_have_the_chunks_zarr_writes(tmp_path: Path, shape: Any, zarr_format: int) -> None:
    """A scalar has one chunk, an array of size zero none."""
    options: dict[str, Any] = {"zarr_format": zarr_format} if ZARR_3 else {}
    array = zarr.open_array(str(tmp_path / "A"), mode="w", shape=shape, chunks=(1,) * len(shape), dtype="f8", **options)
    array[...] = 1.0
    files = files_of(tmp_path / "A")
    meta = read_array_folder("A", files, files.__getitem__).variable
    written = {key for key in files if not key.startswith((".z", "zarr"))}
    assert set(expected_chunks(meta)) == written
    assert count_chunks(meta) == len(written)


# -- format 2 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "name", "itemsize"),
    [
        ("|b1", "bool", 1),
        ("|O", "object", None),
        ("|V8", "|V8", 8),
        ("<U7", "<U7", 28),
        ("|S5", "|S5", 5),
        ([["a", "<i4"], ["b", "<f8"]], '[["a", "<i4"], ["b", "<f8"]]', None),
        (None, "null", None),
        ("?", '"?"', None),
    ],
)
def test_format_2_dtypes_that_are_no_plain_numbers(dtype: Any, name: str, itemsize: int | None) -> None:
    """Text, bytes, objects and structures are named, with the item size where there is one."""
    meta = variable(v2(dtype=dtype))
    assert (meta.dtype, meta.itemsize) == (name, itemsize)
    assert meta.nbytes == 24 * (itemsize or 8)


@pytest.mark.parametrize(
    ("separator", "index", "key"), [(".", (1, 2), "1.2"), ("/", (1, 2), "1/2"), (".", (0, 0), "0.0")]
)
def test_format_2_chunk_keys(separator: str, index: tuple[int, ...], key: str) -> None:
    """Chunks are named by their place, with either separator, below the array's path."""
    document = v2(dimension_separator=separator)
    assert chunk_key(variable(document), index) == key
    assert chunk_key(read("A", {".zgroup": {}, "A/.zarray": document}).variable, index) == f"A/{key}"


def test_format_2_scalar_and_chunks_false() -> None:
    """A scalar's chunk is ``0``; ``chunks: false`` is one chunk over all."""
    assert list(expected_chunks(variable(v2((), ())))) == ["0"]
    assert variable(v2((4, 6), False)).chunks == (4, 6)


# -- format 3 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "shape", "key"),
    [
        ({"name": "default"}, (4, 6), "c/1/2"),
        ({"name": "default", "configuration": {"separator": "."}}, (4, 6), "c.1.2"),
        ({"name": "v2"}, (4, 6), "1.2"),
        ({"name": "v2", "configuration": {"separator": "/"}}, (4, 6), "1/2"),
        ({"name": "default"}, (), "c"),
        ({"name": "default", "configuration": {"separator": "."}}, (), "c"),
        ({"name": "v2"}, (), "0"),
    ],
)
def test_format_3_chunk_keys(encoding: dict, shape: tuple[int, ...], key: str) -> None:
    """Both encodings with both separators, and scalars, as the specification has them."""
    meta = variable(v3(shape, shape, chunk_key_encoding=encoding))
    assert chunk_key(meta, (1, 2) if shape else ()) == key


@pytest.mark.parametrize(
    ("data_type", "name", "itemsize"),
    [
        ("bool", "bool", 1),
        ("int16", "int16", 2),
        ("float64", "float64", 8),
        ("complex128", "complex128", 16),
        ("string", "string", None),
        ({"name": "fixed_length_utf32", "configuration": {"length_bytes": 28}}, "<U7", 28),
        ({"name": "numpy.datetime64", "configuration": {"unit": "ns", "scale_factor": 1}}, "datetime64[ns]", 8),
        ({"name": "null_terminated_bytes", "configuration": {"length_bytes": 5}}, "null_terminated_bytes", 5),
        ({"name": "int8"}, "int8", None),
        (7, "7", None),
    ],
)
def test_format_3_data_types(data_type: Any, name: str, itemsize: int | None) -> None:
    """Plain and configured data types have numpy's name where there is one."""
    meta = variable(v3(data_type=data_type))
    assert (meta.dtype, meta.itemsize) == (name, itemsize)


def test_format_3_dimension_names_may_be_left_out() -> None:
    """Dimensions without a name get xarray's."""
    assert variable(v3(dimension_names=["x", None])).dims == ("x", "dim_1")
    assert variable(v3()).dims == ("dim_0", "dim_1")


def test_a_shard_counts_as_the_chunk() -> None:
    """Of a sharded array, the shard is what one file holds."""
    inner = {"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1]}}
    assert variable(v3((4, 6), (4, 6), codecs=[inner])).chunks == (4, 6)


# -- array folders ----------------------------------------------------------------------------


def test_the_variable_is_the_one_named_like_its_folder_else_the_first() -> None:
    """Coordinates are not taken for the variable; a renamed folder still has its own."""
    names = {"_ARRAY_DIMENSIONS": ["frame"]}
    documents = {
        ".zgroup": {},
        **{f"{name}/.zarray": v2([5], [5]) for name in ("b", "frame", "z")},
        **{f"{name}/.zattrs": names for name in ("b", "frame", "z")},
    }
    assert read("z", documents).variable.path == "z"
    assert read("renamed", documents).variable.path == "b"
    assert read("frame", documents).variable.path == "b"
    assert list(read("b", documents).coordinates) == ["frame"]


def test_coordinates_are_those_of_the_same_group_and_dimensions() -> None:
    """Scalars named by the variable's ``coordinates`` count; arrays of other dimensions do not."""
    documents = {
        ".zgroup": {},
        "A/.zarray": v2([5], [5]),
        "A/.zattrs": {"_ARRAY_DIMENSIONS": ["frame"], "coordinates": "session missing"},
        "session/.zarray": v2([], [], "<U8"),
        "frame/.zarray": v2([5], [5]),
        "frame/.zattrs": {"_ARRAY_DIMENSIONS": ["frame"]},
        "height/.zarray": v2([9], [9]),
        "height/.zattrs": {"_ARRAY_DIMENSIONS": ["height"]},
    }
    assert sorted(read("A", documents).coordinates) == ["frame", "session"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_nested_arrays_are_found_with_their_coordinates(zarr_format: int) -> None:
    """An array in a group below has its full path, and the coordinates of that group."""
    if zarr_format == 2:
        documents: dict[str, Any] = {
            "g/A/.zarray": v2([5], [5]),
            "g/A/.zattrs": {"_ARRAY_DIMENSIONS": ["frame"]},
            "g/frame/.zarray": v2([5], [5]),
            "g/frame/.zattrs": {"_ARRAY_DIMENSIONS": ["frame"]},
        }
    else:
        group = {"zarr_format": 3, "node_type": "group"}
        arrays = {f"g/{name}/zarr.json": v3([5], [5], dimension_names=["frame"]) for name in ("A", "frame")}
        documents = {"zarr.json": group, "g/zarr.json": group, **arrays}
    found = read("A", documents)
    assert found.variable.path == "g/A"
    assert list(found.coordinates) == ["frame"]
    assert found.coordinates["frame"].path == "g/frame"


def test_what_a_zarr_folder_is() -> None:
    """A bare array or a group with an array in it; a dataset that was given a group file is none."""
    assert is_zarr([".zarray"])
    assert is_zarr(["zarr.json"])
    assert is_zarr([".zgroup", "A/.zarray"])
    assert not is_zarr([".zgroup", "A.zarr/A/.zarray"])
    assert not is_zarr([".zgroup"])
    assert not is_zarr(["notes.txt"])


def test_small_questions_about_names() -> None:
    """The folder's stem, and zarr's temporary files."""
    assert (stem("A.zarr"), stem("A"), stem("A.zarr.zarr")) == ("A", "A", "A.zarr")
    assert is_save_in_progress("A/0.0.8d1b1e40a2.partial")
    assert not is_save_in_progress("A/0.0")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    "broken",
    [
        {"shape": None},
        {"shape": "ab"},
        {"shape": [-1, 2]},
        {"shape": [1.5, 2]},
        {"shape": [True, 2]},
        {"shape": [1] * 65},
        {"chunks": [2]},
        {"chunks": [2, -1]},
        {"chunks": None},
        {"dims": ["x"]},
        {"dims": "xy"},
    ],
)
def test_broken_metadata_is_unreadable(zarr_format: int, broken: dict[str, Any]) -> None:
    """A document that contradicts itself is refused with the place it stands."""
    dims = broken.get("dims")
    broken = {key: value for key, value in broken.items() if key != "dims"}
    if zarr_format == 2:
        documents = {"A/.zarray": v2(**broken), "A/.zattrs": {"_ARRAY_DIMENSIONS": dims}}
    else:
        documents = {"A/zarr.json": v3(**broken, dimension_names=dims)}
    with pytest.raises(UnreadableError, match=r"A/(\.zarray|zarr\.json)"):
        read("A", documents)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"1"])
@pytest.mark.parametrize("key", [".zarray", "zarr.json", "A/.zarray", "A/zarr.json"])
def test_metadata_that_is_no_json_object_is_unreadable(key: str, content: bytes) -> None:
    """Cut off, binary or other JSON is refused."""
    with pytest.raises(UnreadableError, match="JSON"):
        read("A", {key: content})


@pytest.mark.parametrize("documents", [{}, {".zgroup": {}}, {"zarr.json": {"node_type": "group"}}, {"x": {}}])
def test_a_folder_without_an_array_is_unreadable(documents: dict[str, Any]) -> None:
    """A group alone holds nothing to record."""
    with pytest.raises(UnreadableError, match="no array"):
        read("A", documents)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    document=st.sampled_from([v2(), v3()]),
    field=st.sampled_from(
        [
            "shape",
            "chunks",
            "dtype",
            "fill_value",
            "dimension_separator",
            "chunk_grid",
            "chunk_key_encoding",
            "data_type",
            "attributes",
            "dimension_names",
            ".zattrs",
            "coordinates",
            "encoding.name",
            "encoding.configuration",
            "encoding.separator",
            "type.name",
            "type.configuration",
            "type.length_bytes",
        ]
    ),
    value=ANYTHING | st.sampled_from(["<f²", "<i" + "9" * 5000, "fixed_length_utf32"]),
)
def test_any_json_in_the_metadata_is_read_or_unreadable(document: dict, field: str, value: Any) -> None:
    """Whatever stands in a field, the outcome is an array or one clear error."""
    attributes: Any = {}
    name, _, inner = field.partition(".")
    if inner and name in ("encoding", "type"):
        part = {"name": value} if inner == "name" else {"name": "default", "configuration": value}
        if inner == "separator":
            part = {"name": "default", "configuration": {"separator": value}}
        if inner == "length_bytes":
            part = {"name": "fixed_length_utf32", "configuration": {"length_bytes": value}}
        document = {**document, {"encoding": "chunk_key_encoding", "type": "data_type"}[name]: part}
    elif field == ".zattrs":
        attributes = value
    elif field == "coordinates":
        attributes = {"coordinates": value, "_ARRAY_DIMENSIONS": value}
    else:
        document = {**document, field: value}
    key = ".zarray" if document["zarr_format"] == 2 else "zarr.json"
    try:
        meta = read("A", {key: document, ".zattrs": attributes}).variable
    except UnreadableError:
        return
    assert missing_chunks(meta, [key]) >= 0
    assert meta.nbytes >= 0


# -- missing chunks ---------------------------------------------------------------------------


def test_chunks_that_are_not_there_are_counted() -> None:
    """Only the array's own chunk keys count, whatever else lies beside them."""
    meta = read("A", {".zgroup": {}, "A/.zarray": v2((4, 6), (2, 3))}).variable
    keys = ["A/.zarray", "A/0.0", "A/1.1", "A/9.9", "frame/0", ".zgroup", "A/notes.txt"]
    assert missing_chunks(meta, keys) == 2
    assert missing_chunks(meta, [*keys, "A/0.1", "A/1.0"]) == 0
    assert list(expected_chunks(meta)) == ["A/0.0", "A/0.1", "A/1.0", "A/1.1"]


def test_absurd_shapes_are_answered_without_walking_the_grid() -> None:
    """A shape of 2**60 chunks is counted, not enumerated; one that no memory could hold is refused."""
    meta = variable(v2([2**20] * 3, [1] * 3, dtype="|u1"))
    assert missing_chunks(meta, [".zarray", "0.0.0"]) == 2**60 - 1
    assert count_chunks(meta) == 2**60
    with pytest.raises(UnreadableError):
        variable(v2([2**62] * 3, [1] * 3))
    assert count_chunks(variable(v2([5, 0], [0, 0]))) == 0
    assert count_chunks(variable(v2([5], [0]))) == 5


# -- renaming ---------------------------------------------------------------------------------


def test_renaming_moves_the_documents_and_renews_the_consolidated_copy(tmp_path: Path) -> None:
    """A stale ``.zmetadata`` is made anew from the documents; other variables keep their names."""
    folder = write_array(tmp_path / "A.zarr", np.ones((2, 3)), ("frame", "AA"), coords={"frame": [1, 2]})
    files = {key: content for key, content in files_of(folder).items() if "/." in key or key.startswith(".")}
    stale = {"metadata": {"A/.zarray": {"stale": True}}, "zarr_consolidated_format": 1}
    renamed = rename_variable({**files, ".zmetadata": json.dumps(stale).encode()}, "A", "B")
    consolidated = json.loads(renamed.pop(".zmetadata"))
    assert sorted(renamed) == [".zgroup", "B/.zarray", "B/.zattrs", "frame/.zarray", "frame/.zattrs"]
    assert renamed["B/.zarray"] == files["A/.zarray"]
    assert consolidated == {
        "metadata": {key: json.loads(content) for key, content in renamed.items()},
        "zarr_consolidated_format": 1,
    }


def test_renaming_in_format_3_renews_the_consolidated_copy() -> None:
    """The root's consolidated metadata names the new path, and keeps its other settings."""
    consolidated = {"kind": "inline", "must_understand": False, "metadata": {"A": {"stale": True}, "frame": {}}}
    root = {"zarr_format": 3, "node_type": "group", "attributes": {}, "consolidated_metadata": consolidated}
    files = {"zarr.json": root, "A/zarr.json": v3(), "frame/zarr.json": v3()}
    renamed = rename_variable({key: json.dumps(value).encode() for key, value in files.items()}, "A", "B")
    assert sorted(renamed) == ["B/zarr.json", "frame/zarr.json", "zarr.json"]
    inner = json.loads(renamed["zarr.json"])["consolidated_metadata"]
    assert inner["metadata"] == {name: json.loads(json.dumps(v3())) for name in ("B", "frame")}
    assert (inner["kind"], inner["must_understand"]) == ("inline", False)


def test_renaming_without_a_consolidated_copy_makes_none() -> None:
    """Nothing is added that was not there; a name that only begins alike is left alone."""
    files = {"A/.zarray": b"{}", "AB/.zarray": b"{}", ".zgroup": b"{}"}
    assert rename_variable(files, "A", "B") == {"B/.zarray": b"{}", "AB/.zarray": b"{}", ".zgroup": b"{}"}


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_zarr_opens_a_renamed_folder_by_its_consolidated_metadata(tmp_path: Path, zarr_format: int) -> None:
    """After renaming, zarr's own consolidated reader finds the variable under the new name only."""
    options: dict[str, Any] = {"zarr_format": zarr_format} if ZARR_3 else {}
    path = tmp_path / "A.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_group(str(path), mode="w", **options)
        make = group.create_array if ZARR_3 else group.create_dataset
        make(name="A", shape=(4,), chunks=(2,), dtype="i4")[...] = [1, 2, 3, 4]
        zarr.consolidate_metadata(str(path), **options)
    names = (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json")
    documents = {key: content for key, content in files_of(path).items() if key.rpartition("/")[2] in names}
    (path / "A").rename(path / "B")
    for key, content in rename_variable(documents, "A", "B").items():
        (path / key).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = zarr.open_consolidated(str(path))
    assert list(opened.array_keys()) == ["B"]
    assert opened["B"][...].tolist() == [1, 2, 3, 4]
