"""Where an export goes: written beside, moved when it is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from minian_vc import durable
from minian_vc.dataset_folders import FOLDER, dataset_above, is_dataset, is_export
from minian_vc.errors import AlreadyExistsError, InvalidInputError, MinianVCError, NotFoundError, StorageError
from minian_vc.staging import drop_stage, make_stage, new_stage
from minian_vc.swap import put_in_place

__all__ = ["put_beside", "refuse_place", "refuse_surroundings", "sidecar"]

FILES = (".zattrs", ".zgroup", ".zmetadata", "zarr.json", "timeStamps.csv")  # of an exported folder, beside arrays
LITTLE = 1 << 20  # bytes below which a disk is full


def sidecar(path: Path) -> Path:
    """Return where the identity of a file without a place for it lies."""
    return path.with_name(f"{path.name}.json")


def refuse_place(out: Path, *, folder: bool, force: bool, with_sidecar: bool = False) -> None:
    """Refuse what stands in the way of an export before anything is computed.

    Raises
    ------
    AlreadyExistsError
        Something is there, and ``force`` is false; or it is not for us to replace.
    InvalidInputError
        It lies in a dataset or in a repository's own folder.
    NotFoundError
        The folder that is to hold it is not there.
    """
    nothing = "Nothing was written."
    refuse_surroundings(out)
    for each in (out, sidecar(out)) if with_sidecar else (out,):
        if (each.exists() or each.is_symlink()) and not force:
            raise AlreadyExistsError(f"{each} is there already.", f"{nothing} --force (force=True) replaces it.")
    if with_sidecar and sidecar(out).is_dir():
        raise AlreadyExistsError(f"{sidecar(out)} is a folder.", f"{nothing} Remove it, or choose another path.")
    if not out.exists() and not out.is_symlink():
        return
    if out.is_symlink() or out.is_dir() is not folder:
        raise AlreadyExistsError(
            f"{out} is a {'link' if out.is_symlink() else 'folder' if out.is_dir() else 'file'}, "
            f"and a {'folder' if folder else 'file'} is to be written.",
            f"{nothing} Remove it, or choose another path.",
        )
    if folder and is_dataset(out) and not _is_export(out):
        raise InvalidInputError(f"{out} is a dataset.", f"{nothing} Choose a path outside of it.")
    if folder and any(out.iterdir()) and not _is_export(out):
        raise AlreadyExistsError(
            f"{out} holds something that is no export of minian_vc.", f"{nothing} Remove it, or choose another path."
        )


def refuse_surroundings(out: Path) -> None:
    """Refuse a path that nothing can be written to, whatever is there.

    Raises
    ------
    InvalidInputError
        It lies in a dataset or in a repository's own folder.
    NotFoundError
        The folder that is to hold it is not there.
    """
    if not out.parent.is_dir():
        raise NotFoundError(f"There is no folder {out.parent}.", "Nothing was written. Make it, or check the path.")
    inside = next((each for each in (out, *out.parents) if each.name == FOLDER), None) or dataset_above(out)
    if inside is not None:
        raise InvalidInputError(
            f"{out} lies in {inside}, where nothing else may lie.", "Nothing was written. Choose a path outside."
        )


def _is_export(folder: Path) -> bool:
    """Tell whether a folder, or each array folder in it, says that we wrote it, and nothing else is in it."""
    entries = list(folder.iterdir())
    arrays = [entry for entry in entries if entry.is_dir()]
    if any(entry.name not in FILES for entry in entries if entry not in arrays):
        return False
    if is_export(folder):
        return all((array / ".zarray").is_file() or (array / "zarr.json").is_file() for array in arrays)
    return bool(arrays) and all(map(is_export, arrays))


@contextlib.contextmanager
def put_beside(out: Path, refuse: Callable[[], None]) -> Iterator[Path]:
    """Give a path to write a file or folder to; when the block ends, put it in place, and its sidecar.

    If the block fails, nothing of it stays, and what was at ``out`` is as it was.

    Parameters
    ----------
    out : Path
        Where it goes.
    refuse : callable
        Is asked again before: something may have come to lie there meanwhile.

    Raises
    ------
    StorageError
        The disk is full, read-only or gone.
    """
    stage = new_stage(out)
    try:
        make_stage(stage, out)
        staged = stage / out.name
        yield staged
        durable.flush_tree(stage)
        refuse()
        with durable.storage_errors("put the export in place", out):
            _put_in_place(staged, out, stage)
    except Exception as error:
        if isinstance(error, MinianVCError) or not _is_full(error, out.parent):
            raise
        raise StorageError(
            f"The disk is full: {out.name} could not be written in {out.parent}.",
            "Nothing of it stays. Free some space, then export again.",
        ) from error
    finally:
        drop_stage(stage)


def _put_in_place(staged: Path, out: Path, stage: Path) -> None:
    if staged.is_dir():
        put_in_place(staged, out, stage, replace=out.exists())
    elif sidecar(staged).exists():
        _put_two_in_place(staged, out, stage / "sidecar-before")
    else:
        staged.replace(out)
    durable.sync_folder(out.parent)


def _put_two_in_place(staged: Path, out: Path, before: Path) -> None:
    """Put a file in place, and first its sidecar: a file that is there has one."""
    if sidecar(out).exists():
        sidecar(out).replace(before)
    try:
        sidecar(staged).replace(sidecar(out))
        staged.replace(out)
    except BaseException:
        sidecar(out).unlink(missing_ok=True)
        if before.exists():
            before.replace(sidecar(out))
        raise


def _is_full(error: Exception, where: Path) -> bool:
    """Tell whether an error comes of a full disk: HDF5 says no more than that it failed."""
    if isinstance(error, OSError) and error.errno in durable.FULL:
        return True
    with contextlib.suppress(OSError):
        return durable.free_bytes(where) < LITTLE
    return False
