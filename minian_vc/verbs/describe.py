"""From a stored manifest to an array version: what the array is, read off its stored bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from minian_vc import zarr_format
from minian_vc.arrays.reading import decode
from minian_vc.catalog import queries
from minian_vc.catalog.record import CoordinateValues, values_digest
from minian_vc.errors import UnreadableError
from minian_vc.history import Decoded
from minian_vc.model import ArrayVersion, Coordinate, Manifest, canonical_json, digest_of
from minian_vc.repository import Repository
from minian_vc.zarr_format import ArrayMetadata, stem

__all__ = ["describe_array"]


def describe_array(
    repository: Repository,
    where: Path,
    digest: str,
    files: Mapping[str, bytes],
    manifest: Manifest,
    *,
    bytes_kept: bool = True,
    decoded: Decoded | None = None,
) -> ArrayVersion:
    """Describe the array whose files a manifest lists; ``where`` is the array folder it was read from.

    A coordinate is decoded only if neither the catalog nor ``decoded`` knows its files yet; then it is added there.

    Raises
    ------
    UnreadableError
        Its metadata or a coordinate cannot be read.
    """
    found = zarr_format.read_array_folder(stem(where.name), manifest, files.__getitem__)
    variable = found.variable
    coordinates, values = [], {}
    for name, meta in found.coordinates.items():
        coordinate, values[name] = _coordinate(
            repository, files, manifest, where, meta, {} if decoded is None else decoded
        )
        coordinates.append(coordinate)
    return ArrayVersion(
        name=stem(where.name),
        folder=where.name,
        variable=variable.path,
        zarr_format=variable.zarr_format,
        dims=variable.dims,
        shape=variable.shape,
        dtype=variable.dtype,
        chunks=dict(zip(variable.dims, variable.chunks, strict=True)),
        coordinates=tuple(coordinates),
        unit_ids=_unit_ids(values.get("unit_id")),
        animal=_text(values.get("animal")),
        session=_text(values.get("session")),
        manifest=digest,
        nbytes=variable.nbytes,
        stored_bytes=manifest.size,
        missing_chunks=zarr_format.missing_chunks(variable, manifest.keys()),
        bytes_kept=bytes_kept,
    )


def _coordinate(
    repository: Repository,
    files: Mapping[str, bytes],
    manifest: Manifest,
    where: Path,
    meta: ArrayMetadata,
    decoded: Decoded,
) -> tuple[Coordinate, CoordinateValues]:
    """Return a coordinate and its values, from the catalog where its files are known."""
    prefix = f"{meta.path}/"
    listing = [[key.removeprefix(prefix), entry.digest] for key, entry in manifest.items() if key.startswith(prefix)]
    digest = digest_of(canonical_json(listing))
    known = decoded.get(digest)
    if known is None:
        with repository.catalog.read() as connection:
            known = queries.coordinate_values(connection, digest)
    if known is None:
        try:
            dtype, content = decode(files, meta.path)
        except UnreadableError as error:
            raise UnreadableError(f"The array folder {where}: {error.message}", error.hint) from error
        known = values_digest(dtype, meta.shape, content), content
    decoded[digest] = known
    coordinate = Coordinate(
        name=meta.path.rpartition("/")[2],
        dims=meta.dims,
        shape=meta.shape,
        dtype=meta.dtype,
        files=digest,
        values=known[0],
    )
    return coordinate, known[1]


def _unit_ids(values: CoordinateValues) -> tuple[int | str, ...] | None:
    if values is None:
        return None
    return tuple(values) if isinstance(values, list) else (values,)  # type: ignore[return-value]


def _text(value: CoordinateValues) -> str | None:
    return None if value is None or isinstance(value, list) else str(value)
