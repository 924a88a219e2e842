"""Where an Icechunk repository lies, and what it takes to write there: a fit environment, one writer, credentials."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from minian_vc import durable
from minian_vc.errors import (
    AlreadyExistsError,
    BusyError,
    EnvironmentUnfitError,
    InvalidInputError,
    MinianVCError,
    StorageError,
)
from minian_vc.export.place import refuse_surroundings
from minian_vc.redaction import redact

if sys.platform != "win32":
    import errno
    import fcntl

__all__ = ["import_icechunk", "in_our_words", "storage_at"]

NOTHING = "Nothing was written."
LEAST = {"zarr": (3, 1, 3), "icechunk": (2, 0)}
S3 = "s3://"


def import_icechunk() -> Any:
    """Import icechunk, if the environment can run it.

    Raises
    ------
    EnvironmentUnfitError
        It or zarr is missing or too old.
    """
    for package, least in LEAST.items():
        version = _version(package)
        if version is None or tuple(map(int, re.findall(r"\d+", version)[:3])) < least:
            has = "is not installed" if version is None else f"{version} is installed"
            raise EnvironmentUnfitError(
                f"Exporting to icechunk needs {package} {'.'.join(map(str, least))} or newer; {package} {has}.",
                f"{NOTHING} Export from an environment of its own, beside MiniAn's, with Python 3.12 or newer: "
                'pip install "minian_vc[icechunk]". It reads this repository as it is.',
            )
    quiet = "icechunk" not in sys.modules and "ICECHUNK_LOG" not in os.environ
    icechunk = importlib.import_module("icechunk")
    if quiet:  # it warns on stderr that a local folder takes one writer; storage_at sees to that
        icechunk.set_logs_filter("error")
    return icechunk


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@contextlib.contextmanager
def storage_at(location: str, endpoint_url: str | None) -> Iterator[Any]:
    """Give Icechunk's storage for a path or ``s3://bucket/prefix``; a local one is ours alone until the block ends.

    Raises
    ------
    AlreadyExistsError
        There is a file.
    BusyError
        Another export writes there.
    InvalidInputError
        It is no place for a repository, or a URL that cannot be meant.
    NotFoundError
        The folder that is to hold it is not there.
    """
    if location.startswith(S3):
        yield _s3(location, endpoint_url)
        return
    if "://" in location:
        _refuse(f"{redact(location)} is neither a path nor {S3}bucket/prefix.", "Give one of these.")
    if endpoint_url is not None:
        _refuse(
            f"An endpoint URL is given, and {location} is a local path.", f"Give {S3}bucket/prefix, or leave it out."
        )
    folder = Path(location).absolute()
    refuse_surroundings(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise AlreadyExistsError(f"{folder} is no folder.", f"{NOTHING} Choose another path.")
    is_new = not folder.exists()
    with durable.storage_errors("make the folder for the Icechunk repository", folder):
        folder.mkdir(exist_ok=True)
    try:
        with _one_writer(folder):
            yield import_icechunk().local_filesystem_storage(str(folder))
    finally:
        with contextlib.suppress(OSError):
            if is_new:  # and empty: nothing came of it
                folder.rmdir()


def _s3(location: str, endpoint_url: str | None) -> Any:
    place = urlsplit(location)
    if "@" in place.netloc or not place.netloc or place.query or place.fragment:
        _refuse("The URL of an Icechunk repository on S3 is s3://bucket/prefix, and nothing more.", _CREDENTIALS)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options: dict[str, Any] = {"region": region}
    if endpoint_url is not None:
        endpoint = urlsplit(endpoint_url)
        if endpoint.scheme not in ("http", "https") or "@" in endpoint.netloc or endpoint.query or not endpoint.netloc:
            _refuse("An endpoint URL is http(s)://host:port, and nothing more.", _CREDENTIALS)
        options = {
            "region": region or "us-east-1",
            "endpoint_url": endpoint_url,
            "allow_http": endpoint.scheme == "http",
            "force_path_style": True,
        }
    prefix = place.path.strip("/") or None
    return import_icechunk().s3_storage(bucket=place.netloc, prefix=prefix, from_env=True, **options)


_CREDENTIALS = "Credentials come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE."


def _refuse(message: str, hint: str) -> NoReturn:
    raise InvalidInputError(message, f"{NOTHING} {hint}")


@contextlib.contextmanager
def _one_writer(folder: Path) -> Iterator[None]:
    """Keep other exports out of a folder, where the system can; the lock goes with the process."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # network drives may have no locks for folders
            if error.errno == errno.EWOULDBLOCK:
                raise BusyError(
                    f"Another export writes to {folder}.", f"{NOTHING} Try again when it is done."
                ) from error
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def in_our_words(location: str) -> Iterator[None]:
    """Turn Icechunk's errors into ours, without the credentials that a URL in them may hold."""
    icechunk = import_icechunk()
    try:
        yield
    except icechunk.IcechunkError as error:
        raise _translated(error, location) from error


def _translated(error: Any, location: str) -> MinianVCError:
    said = redact(str(error).partition("\n")[0])
    if error.kind == "parent-directory-not-clean":
        return AlreadyExistsError(
            f"{location} holds something that is no Icechunk repository.", f"{NOTHING} Choose another place."
        )
    whole = "The checkpoints that are there already are whole; run the export again to go on."
    if "conflict" in error.kind:
        return BusyError(f"Somebody else commits to {location}: {said}", whole)
    return StorageError(f"Icechunk could not work in {location}: {said}", whole)
