"""What one array folder says of itself: how MiniAn would open it, and whether its chunks are all there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from minian_vc import zarr_format
from minian_vc.arrays.conventions import decode_cf
from minian_vc.errors import UnreadableError
from minian_vc.facts import ArrayFacts, ArrayFiles, Chunks, Kind
from minian_vc.model import ArrayVersion, Coordinate, digest_of
from minian_vc.prediction.chunks import HEADER, is_cut_off
from minian_vc.prediction.model import Bundle, Fails, Unsure
from minian_vc.prediction.opening import Hinder, open_folder
from minian_vc.zarr_format import ArrayMetadata, read_array_folder, stem

__all__ = ["as_version", "look_at_array", "renamed"]


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MANY = 1 << 16  # chunks whose headers are read


def look_at_array(
    folder: str,
    files: ArrayFiles,
    *,
    hinder: Hinder = lambda _: None,
    manifest: str | None = None,
    bytes_kept: bool = True,
    link: bool = False,
) -> ArrayFacts:
    """Look at an array folder; what the disk refuses is what prevents opening it.

    Parameters
    ----------
    folder : str
        Its name.
    files : ArrayFiles
        Its files.
    hinder : callable
        Raises what its path does to MiniAn's file layer, if anything.
    manifest, bytes_kept, link
        As in :class:`ArrayFacts`.
    """
    known: dict[str, Any] = {"manifest": manifest, "bytes_kept": bytes_kept, "link": link}
    try:
        opened = _opened(files, hinder)
        metadata = _metadata(folder, files)
        return ArrayFacts(
            name=stem(folder),
            folder=folder,
            files=files,
            opened=opened,
            kind=_kind(folder, files, opened),
            metadata=metadata,
            chunks=_chunks(metadata, files) if metadata else Chunks(unfinished=_unfinished(files)),
            stale=tuple(_stale(files)),
            saved_ns=files.mtime_ns(f"{metadata.path}/.zarray") if metadata else 0,
            newest_ns=files.newest_ns,
            **known,
        )
    except OSError as error:  # no permission, or gone meanwhile
        refused = Fails(type(error).__name__, f"it cannot be read: {error.strerror}")
        return ArrayFacts(stem(folder), folder, files, refused, "broken", **known)


def _opened(files: ArrayFiles, hinder: Hinder) -> Bundle | Fails | Unsure:
    try:
        return open_folder(files, decode_cf, hinder)
    except (Fails, Unsure) as problem:
        return problem


def _kind(folder: str, files: ArrayFiles, opened: Bundle | Fails | Unsure) -> Kind:
    if isinstance(opened, Bundle | Unsure):
        return "array"
    if _UUID.fullmatch(folder):
        return "leftover"
    if "zarr.json" in files:
        return "format-3"
    parts = {key.rpartition("/")[2] for key in files if key.count("/") < 2}  # what lies deeper is not this folder's
    return "broken" if parts & zarr_format.METADATA_NAMES or folder.endswith(".zarr") else "foreign"


def _metadata(folder: str, files: ArrayFiles) -> ArrayMetadata | None:
    try:
        return read_array_folder(stem(folder), list(files), files.__getitem__).variable
    except (UnreadableError, KeyError):
        return None


def _chunks(metadata: ArrayMetadata, files: ArrayFiles) -> Chunks:
    """Count the data chunks, and read the headers of those that are there."""
    sizes = files.sizes
    missing = zarr_format.missing_chunks(metadata, sizes)
    cut_off = [key for key in _present(metadata, sizes) if _looks_cut_off(metadata, files, key, sizes[key])]
    return Chunks(
        expected=zarr_format.count_chunks(metadata),
        missing=missing,
        cut_off=tuple(sorted(cut_off)),
        unfinished=_unfinished(files),
    )


def _present(metadata: ArrayMetadata, sizes: Mapping[str, int]) -> list[str]:
    prefix = f"{metadata.path}/{metadata.chunk_prefix}".lstrip("/")
    found = []
    for key in sizes:
        numbers = key.removeprefix(prefix).split(metadata.chunk_separator)
        if key.startswith(prefix) and all(number.isdigit() for number in numbers):
            found.append(key)
    return found[:MANY]


def _looks_cut_off(metadata: ArrayMetadata, files: ArrayFiles, key: str, size: int) -> bool:
    if metadata.zarr_format != 2 or size == 0:
        return size == 0
    if metadata.compressor is None:
        wanted = metadata.chunk_nbytes
        return wanted is not None and not metadata.has_filters and size < wanted
    if metadata.compressor.get("id") != "blosc":
        return False
    head = files.head(key, HEADER)
    return head is not None and is_cut_off(metadata.compressor, head, size)


def _unfinished(files: ArrayFiles) -> tuple[str, ...]:
    return tuple(key for key in files if zarr_format.is_save_in_progress(key))


def _stale(files: ArrayFiles) -> Iterator[str]:
    """Yield what the consolidated metadata say otherwise than the arrays' own."""
    if ".zmetadata" not in files:
        return
    try:
        consolidated = json.loads(files[".zmetadata"])["metadata"]
        for key, document in consolidated.items():
            own = json.loads(files[key]) if key in files else None
            if _filled_in(own) != _filled_in(document):
                yield f"{key}: {_difference(document, own)}"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        yield ".zmetadata is no consolidated metadata"


def _filled_in(document: Any) -> Any:
    """Return a metadata document with what it may leave out: zarr 3 writes the separator, zarr 2 does not."""
    is_array = isinstance(document, dict) and "chunks" in document
    return {"dimension_separator": ".", **document} if is_array else document


def _difference(consolidated: Any, own: Any) -> str:
    if not isinstance(own, dict) or not isinstance(consolidated, dict):
        return "it is missing" if own is None else "it is another"
    differing = [name for name in sorted({*consolidated, *own}) if consolidated.get(name) != own.get(name)]
    shown = [f"{name} {json.dumps(own.get(name))}, not {json.dumps(consolidated.get(name))}" for name in differing]
    return "; ".join(shown)


def renamed(array: ArrayFacts, new: str) -> ArrayFacts:
    """Return an array under another name, as ``restore --as`` would bring it back."""
    bundle = array.bundle
    if bundle is None:
        return replace(array, name=new)
    variables = {new if old in bundle.data else old: variable for old, variable in bundle.variables.items()}
    return replace(array, name=new, opened=Bundle(variables, bundle.coordinates, bundle.indexes))


def _plain(value: Any) -> Any:
    """Return labels in a form in which equal ones look alike: 1 and 1.0 are one label."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_version(array: ArrayFacts) -> ArrayVersion:
    """Describe a readable array as an array version, to be opened under the name that MiniAn has it by."""
    metadata = array.metadata
    if metadata is None:
        raise UnreadableError(f"{array.name} has no metadata that can be read.", "Save it again.")
    coordinates = []
    for name, variable in array.coordinates.items():
        values = digest_of(repr(_plain(variable.values().tolist())).encode())
        coordinates.append(Coordinate(name, variable.dims, variable.shape, variable.dtype.name, values, values))
    return ArrayVersion(
        name=array.inner_name or array.name,
        folder=array.folder,
        variable=metadata.path,
        zarr_format=metadata.zarr_format,
        dims=metadata.dims,
        shape=metadata.shape,
        dtype=metadata.dtype,
        chunks=dict(zip(metadata.dims, metadata.chunks, strict=True)),
        coordinates=tuple(coordinates),
        unit_ids=array.unit_ids,
        animal=array.text("animal"),
        session=array.text("session"),
        manifest=array.manifest or digest_of(f"{array.folder} {array.saved_ns}".encode()),
        nbytes=metadata.nbytes,
        stored_bytes=sum(array.files.sizes.values()),
    )
