"""save_minian: MiniAn's function, writing beside and putting in place what is whole."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minian_vc import durable
from minian_vc.arrays.encoding import EncodedGroup, encode
from minian_vc.arrays.live_files import LiveFiles
from minian_vc.arrays.opening import open_saved
from minian_vc.arrays.writing import plan_writing, write_metadata
from minian_vc.errors import AlreadyExistsError, InvalidInputError, MinianVCError, StorageError
from minian_vc.names import check_array_name
from minian_vc.staging import drop_stage, keep_stage, make_stage, new_stage
from minian_vc.swap import UnfinishedSwapError, put_in_place
from minian_vc.verbs.record_saved import record_saved, refuse_to_record
from minian_vc.working_folder.scan import list_files
from minian_vc.zarr_format import expected_chunks

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["REPLACE", "save_minian"]

REPLACE = "minian_vc.replace"  # audit event: what lies at that path, if anything does, is about to be replaced


def save_minian(
    var: xr.DataArray,
    dpath: str | Path,
    meta_dict: Mapping[str, int] | None = None,
    overwrite: bool = False,
    chunks: Mapping[str, int] | None = None,
    compute: bool = True,
    mem_limit: str = "500MB",
    *,
    tag: str | None = None,
    record: bool | None = None,
) -> Any:
    """Save an array as ``minian.utilities.save_minian`` does, but never lose the version it replaces.

    The new version is written beside the dataset, checked to be whole, flushed to the disk, and put in place in one
    step. Whatever goes wrong before leaves the old version. So an array may be read from the folder that it is saved
    to: dropping units or adding labels and saving under the same name is safe.

    Parameters
    ----------
    var : xarray.DataArray
        What to save, of any dims, shape and dtype, usually lazy. Its name is the array's name.
    dpath : str or Path
        The dataset folder. It is made if it does not exist.
    meta_dict : mapping of str to int, optional
        Coordinates to take from the folders above: name to level, -1 for the folder that holds the dataset.
        ``{"session": -1, "animal": -2}`` is MiniAn's.
    overwrite : bool
        Replace an array of that name.
    chunks : mapping of str to int, optional
        The chunk spec to store it with, by dim; 0 and less for the whole dim. By default as ``var`` is cut.
    compute : bool
        If False, nothing is saved yet: the result is a dask object, and computing it saves. MiniAn's removes the
        old array at once.
    mem_limit : str
        The memory that cutting by ``chunks`` may take, such as ``"500MB"``. Computing ``var`` is not limited by it. A
        chunk that fits once and not twice (decoded and encoded) is cut all the same, with as little as possible.
    tag : str, optional
        Record the dataset as a checkpoint of this name when the array is saved. Arrays saved one after the other
        with the same tag come together: the tag moves on to the newest checkpoint, which holds them all. A tag of
        an older checkpoint moves only with ``overwrite=True``; that checkpoint stays, without the name.
    record : bool, optional
        Record the dataset as a checkpoint. By default where there is a tag.

    Returns
    -------
    xarray.DataArray or dask.delayed.Delayed
        The saved array, lazy: dask-backed with the stored chunks, values as stored; computing it once the folder was
        saved again raises BusyError. With ``compute=False`` a Delayed whose value is the path of the array's folder.

    Raises
    ------
    AlreadyExistsError
        ``overwrite`` is False, and there is such an array, or the tag names an older checkpoint. If the array came
        while ``var`` was computed, the error says where the new version is kept.
    InvalidInputError
        It cannot be saved so: no name, irregular chunks, no such dim or level, a size that is none.
    StorageError
        The disk is full, read-only or gone. The old version is as it was, or the error says where both versions lie.
    Exception
        Whatever computing ``var`` raises. The old version is as it was.

    Warns
    -----
    UserWarning
        The tag moved from an older checkpoint, or another array of the dataset could not be recorded.

    References
    ----------
    The signature is that of ``minian.utilities.save_minian`` in MiniAn 2.0.2, and so is the folder it leaves.

    Examples
    --------
    >>> from minian_vc import save_minian
    >>> C = save_minian(C.rename("C"), intpath, overwrite=True, tag="first_iteration")  # doctest: +SKIP
    """
    recorded = tag is not None if record is None else record
    name, limit = _name(var), _bytes(mem_limit)
    if tag is not None and not recorded:
        raise InvalidInputError("A tag names a checkpoint, and record=False makes none.", "Nothing was saved.")
    if not compute and recorded:
        raise InvalidInputError("With compute=False there is nothing to record yet.", "Save it, then commit.")
    where = Path(os.path.realpath(dpath))
    live = where / f"{name}.zarr"
    _refuse(live, overwrite=overwrite)
    if recorded:
        refuse_to_record(where, tag, move=overwrite)
    group = encode(var, _from_folders(dpath, meta_dict), chunks)
    saving = _Saving(group.without_values(), where, live, new_stage(where), overwrite)
    with saving.undone_on_error():
        make_stage(saving.stage, where)
        _refuse(live, overwrite=overwrite)  # a killed save may just have been completed
        with durable.storage_errors("make a folder beside it to write in", saving.stage):
            (saving.stage / "scratch").mkdir()
        write_metadata(group, saving.folder)
        writing = plan_writing(group.array, saving.folder, saving.stage / "scratch", limit)
        result = writing.compute(compute)
        if not compute:
            import dask

            key = f"save-{name}-{os.urandom(8).hex()}"
            return dask.delayed(_finish)(saving, writing.finish, result, dask_key_name=key)
        saved = saving.finish(writing.finish, result)
    if recorded:
        _record(where, name, tag)
    return saved


def _record(dataset: Path, name: str, tag: str | None) -> None:
    try:
        record_saved(dataset, name, tag)
    except MinianVCError as error:
        hint = f"It is saved all the same; when this is mended: minian-vc commit{f' -t {tag}' if tag else ''}"
        raise type(error)(f"{name} was saved, but not recorded: {error.message}", hint) from error


@dataclass(slots=True)
class _Saving:
    """A save under way: its own folder beside the dataset, and where it will go.

    ``group`` is without values: dask would compute lazy ones before it hands this to ``_finish``.
    """

    group: EncodedGroup
    dataset: Path
    live: Path
    stage: Path
    overwrite: bool
    inode: int | None = None  # of the new folder, wherever it lies
    kept: bool = False  # it is whole, and could not be put in place: the user's to move

    @property
    def folder(self) -> Path:
        return self.stage / self.live.name

    @contextlib.contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Remove what was staged if the block fails, and say that the old version is there."""
        try:
            yield
        except BaseException as error:
            if not self.kept:
                drop_stage(self.stage)
            cause = error.__cause__ if isinstance(error, StorageError) else error
            if isinstance(cause, OSError) and cause.errno in durable.FULL and not self.kept:
                raise StorageError(
                    f"The disk is full: {self.live.name} could not be saved in {self.dataset}.",
                    "What was there is as it was. The old version and the new one must both have room for a moment: "
                    "free some space, then save again.",
                ) from error
            if not isinstance(error, MinianVCError) and not self._is_in_place():
                there = "is as it was" if self.live.exists() else "was not made"
                error.add_note(f"minian_vc: the save did not take place; {self.live} {there}.")
            raise

    def finish(self, finish_writing: Callable[[Any], None], result: Any) -> xr.DataArray:
        """Do what is left when the values are computed, and put the folder in place; return it opened.

        It is opened before: as soon as it is in place, another process may replace it.
        """
        finish_writing(result)
        self._refuse_incomplete()
        durable.flush_tree(self.folder)
        files = LiveFiles(str(self.folder), self.group.array.name)
        saved = open_saved(self.group, files)
        self.inode = self.folder.stat().st_ino
        try:
            _refuse(self.live, overwrite=self.overwrite)  # computing takes long: it may have come meanwhile
            sys.audit(REPLACE, str(self.live))
            put_in_place(self.folder, self.live, self.stage, replace=self.overwrite)
        except UnfinishedSwapError:  # it says where both versions lie
            self._keep()
            raise
        except MinianVCError as error:
            where = f"The new version is whole, in {self._keep() / self.live.name}: move it by hand."
            raise type(error)(error.message, f"What was there is as it was. {where}") from error
        files.moved_to(str(self.live))
        drop_stage(self.stage)
        return saved

    def _keep(self) -> Path:
        """Keep what is whole and could not be put in place; return where it lies."""
        self.kept = True
        return keep_stage(self.stage)

    def _is_in_place(self) -> bool:
        return self.live.exists() and self.live.stat().st_ino == self.inode

    def _refuse_incomplete(self) -> None:
        files = list_files(self.folder)
        for variable in (self.group.array, *self.group.coordinates):
            lacking = [key for key in expected_chunks(variable.stored) if files.get(key, (0,))[0] == 0]
            if lacking:
                raise StorageError(
                    f"{len(lacking)} chunks of {self.live.name} were not written, the first is {lacking[0]}.",
                    "What was there is as it was. Workers of a cluster must see this disk under the same path.",
                )


def _finish(saving: _Saving, finish_writing: Callable[[Any], None], result: Any) -> str:
    with saving.undone_on_error():
        saving.finish(finish_writing, result)
    return str(saving.live)


def _name(var: Any) -> str:
    import xarray as xr

    if not isinstance(var, xr.DataArray):
        raise InvalidInputError(
            f"save_minian saves a DataArray, not a {type(var).__name__}.", "Nothing was saved. Take one variable of it."
        )
    if var.name is None:
        raise InvalidInputError("The array has no name to be saved under.", 'Nothing was saved. var.rename("C")')
    return check_array_name(str(var.name))


def _bytes(mem_limit: str | int) -> int:
    from dask.utils import parse_bytes

    try:
        return int(parse_bytes(mem_limit))
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        raise InvalidInputError(f"mem_limit {mem_limit!r} is no size.", 'Write it like "500MB".') from None


def _refuse(live: Path, *, overwrite: bool) -> None:
    """Refuse what stands in the way of the array folder."""
    if live.is_symlink() or (live.exists() and not live.is_dir()):
        raise InvalidInputError(f"{live} is a link or a file, not an array folder.", "Nothing was saved. Remove it.")
    if live.exists() and not overwrite:
        raise AlreadyExistsError(f"{live} is there already.", "Nothing was saved. Give overwrite=True to replace it.")
    for parent in live.parents:
        if parent.is_file():
            raise InvalidInputError(f"{parent} is a file, not a folder.", "Nothing was saved. Check the path.")
        if parent.suffix == ".zarr":
            raise InvalidInputError(
                f"{live.parent} lies in the array folder {parent}.", "Nothing was saved. Give the dataset's folder."
            )


def _from_folders(dpath: str | Path, levels: Mapping[str, int] | None) -> dict[str, str]:
    """Return coordinates named after the folders above the dataset, by level."""
    here = Path(os.path.normpath(Path(dpath).absolute()))  # as it is written: links are not followed
    above = here.parent.parts
    try:
        return {name: above[level] for name, level in (levels or {}).items()}
    except (IndexError, TypeError):
        raise InvalidInputError(
            f"meta_dict asks for levels {levels} of {here}, which is not that deep.",
            "Nothing was saved. -1 is the folder that holds the dataset.",
        ) from None
