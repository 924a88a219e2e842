"""A dataset: one MiniAn folder of arrays and its history. The table of contents of the library."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from minian_vc import names, provenance
from minian_vc.arrays.netcdf_mirror import is_netcdf, is_netcdf_name
from minian_vc.arrays.opening import open_array, open_together
from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow, LogEntry
from minian_vc.chunk_specs import Chk, recall, recall_from
from minian_vc.dataset_folders import dataset_above, datasets_below, is_dataset
from minian_vc.diff import Diff
from minian_vc.errors import InvalidInputError, NotFoundError, UnreadableError
from minian_vc.export import exporting, tabular
from minian_vc.export.formats import find_format
from minian_vc.export.whole_history import ExportedHistory, export_history
from minian_vc.looks import history as looks
from minian_vc.model import ArrayVersion, Checkpoint
from minian_vc.names import Spec
from minian_vc.repository import Repository
from minian_vc.staging import put_in_order
from minian_vc.text import in_brackets
from minian_vc.units import UnitsEntry
from minian_vc.verbs import check as checking
from minian_vc.verbs import commit as committing
from minian_vc.verbs import compare, restore
from minian_vc.verbs import prune as pruning
from minian_vc.verbs import resume as resuming
from minian_vc.verbs import undo as undoing
from minian_vc.verbs.before_restore import Asked
from minian_vc.verbs.commit import Commit, Request
from minian_vc.verbs.compare import ArrayState
from minian_vc.verbs.prune import Pruned
from minian_vc.verbs.report import CheckReport
from minian_vc.verbs.restore import Restored
from minian_vc.verbs.retention import Retention
from minian_vc.verbs.tag import tag_checkpoint
from minian_vc.verbs.undo import LoggedOperation, Undone
from minian_vc.zarr_format import stem

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Dataset", "open_dataset"]


class Dataset:
    """One MiniAn folder and its checkpoints. Make it with :func:`minian_vc.open`.

    Attributes
    ----------
    path : Path
        The folder that MiniAn writes to.
    repository : Repository
        The repository that keeps its history.

    Examples
    --------
    >>> import minian_vc as mvc
    >>> ds = mvc.open("minian_intermediate", create=True)  # doctest: +SKIP
    >>> ds.commit("after the first temporal update", tag="first_iteration")  # doctest: +SKIP
    >>> C = ds["C@first_iteration"]  # doctest: +SKIP
    """

    def __init__(self, repository: Repository, name: str) -> None:
        self.repository = repository
        self.name = name
        self.path = repository.root / name

    @property
    def _row(self) -> DatasetRow:
        return self.repository.dataset_row(self.name)

    def __repr__(self) -> str:
        return looks.line(f"minian_vc.Dataset {self.name} in {self.repository.root}", self._latest_line)

    def _latest_line(self) -> str:
        latest = self.latest
        return f"@{latest.short_id}{in_brackets(latest.tags)}" if latest else "no checkpoint yet"

    def _repr_html_(self) -> str:
        return looks.html(self._html, repr(self))

    def _html(self) -> str:
        latest = self.latest  # chk from there: the folder may have a million files
        with self.repository.catalog.read() as connection:
            newest = queries.log(connection, self._row.uid, limit=looks.NEWEST)
            count = queries.count_checkpoints(connection, self._row.uid)
        return looks.dataset_html(self.name, self.path, count, newest, recall_from(latest.arrays) if latest else {})

    # -- recording -----------------------------------------------------------------------------

    def commit(
        self,
        message: str = "",
        *,
        tag: str | None = None,
        only: Sequence[str] | None = None,
        params: Mapping[str, Any] | None = None,
        wait: float = 3.0,
    ) -> Checkpoint:
        """Record what lies in the folder as the next checkpoint.

        Parameters
        ----------
        message : str
            What was done.
        tag : str, optional
            A name for the checkpoint, unique in this dataset.
        only : sequence of str, optional
            Arrays to record; the others are taken over from the checkpoint before, as they were.
        params : mapping, optional
            Parameters of the step, such as ``param_first_temporal``. numpy values and slices are kept as plain JSON,
            large arrays as a short text; passwords and tokens are not kept.
        wait : float
            Seconds to wait for a save in progress before refusing.

        Returns
        -------
        Checkpoint
            The new checkpoint, or the latest one if nothing had changed.

        Raises
        ------
        AlreadyExistsError
            The tag names another checkpoint.
        BusyError
            A save is in progress.
        NotFoundError
            There is no array of a name in ``only``.
        UnreadableError
            There is no array, or one that cannot be read.
        StorageError
            The disk is full or read-only; nothing was recorded.

        Warns
        -----
        UserWarning
            An array lacks chunks.
        """
        done = self.record(Request(message, tag, only, provenance.gather(params), wait))
        for text in done.warnings:
            warnings.warn(text, UserWarning, stacklevel=2)
        return done.checkpoint

    def record(self, request: Request) -> Commit:
        """Commit, and return what it cost as well."""
        return committing.commit(self.repository, self._row, request)

    def tag(self, name: str, revision: str = "latest") -> Checkpoint:
        """Give a checkpoint a name.

        Raises
        ------
        AlreadyExistsError
            Another checkpoint has it.
        InvalidInputError
            It cannot be a tag.
        NotFoundError
            There is no such revision.
        """
        return tag_checkpoint(self.repository, self._row, name, self.show(revision))

    # -- looking -------------------------------------------------------------------------------

    @property
    def latest(self) -> Checkpoint | None:
        """The latest checkpoint, or None."""
        return self.show("latest") if self._row.latest else None

    def show(self, revision: str = "latest") -> Checkpoint:
        """Return a checkpoint with all that is recorded about its arrays.

        Raises
        ------
        NotFoundError
            There is no such revision.
        """
        return self.repository.resolve(self._row, revision)

    def history(
        self,
        n: int | None = None,
        array: str | None = None,
        *,
        manual: bool = False,
        params: Mapping[str, Any] | None = None,
    ) -> list[LogEntry]:
        """Return the checkpoints, newest first.

        Parameters
        ----------
        n : int, optional
            Only the newest ``n`` of what is left.
        array : str, optional
            Only checkpoints that recorded a new version of this array.
        manual : bool
            Only checkpoints made by hand: no automatic ones.
        params : mapping, optional
            Only checkpoints with all these parameters: ``{"p": 1}``. A name is a dotted path or the last part of
            one, ``first_temporal.p``; the value ``...`` stands for any.

        Raises
        ------
        NotFoundError
            There never was such an array.
        """
        with self.repository.catalog.read() as connection:
            entries = queries.log(connection, self._row.uid, limit=n, array=array, manual=manual, params=params)
        if array is not None and not entries and (params or manual):
            self.history(1, array)  # raises if there never was such an array
        elif array is not None and not entries and (latest := self.latest):
            raise NotFoundError(
                f"{self.name} never had an array {array!r}.",
                names.near(array, (a.name for a in latest.arrays)),
            )
        return entries

    def log(
        self,
        n: int | None = None,
        array: str | None = None,
        *,
        manual: bool = False,
        params: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return :meth:`history` as a pandas DataFrame, one row per checkpoint, newest first."""
        import pandas as pd

        columns = ("id", "tags", "message", "author", "created_at", "parent", "arrays", "automatic")
        entries = self.history(n, array, manual=manual, params=params)
        rows = [{name: getattr(entry, name) for name in columns} for entry in entries]
        frame = pd.DataFrame(rows, columns=list(columns))
        frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
        return frame

    def status(self) -> list[ArrayState]:
        """Compare the folder with the latest checkpoint, array by array."""
        return compare.status(self.repository, self._row, self.latest)

    def diff(self, old: str, new: str | None = None) -> Diff:
        """Compare two revisions, or a revision with the folder.

        Returns
        -------
        Diff
            A sequence of ArrayChange. Per array: new, modified, unchanged or deleted; what changed in its
            description; and which units were added, removed, changed and are unchanged. ``params`` has the
            parameters that differ; the folder has none to compare.
        """
        first = compare.checkpoint_side(self.repository, self.show(old))
        if new is None:
            second = compare.working_side(self.repository, self._row)
        else:
            second = compare.checkpoint_side(self.repository, self.show(new))
        return compare.diff(self.repository, self._row, first, second)

    def units(self) -> list[UnitsEntry]:
        """Return the unit sets at each checkpoint, oldest first: ids that disappear, numberings that start anew."""
        return compare.history_of_units(self.repository, self._row)

    @property
    def chk(self) -> Chk:
        """MiniAn's ``chk``: the chunk sizes that the arrays agree on, with ``.deviating`` for those that do not.

        Read from the arrays in the folder; from the latest checkpoint where the folder has none.
        """
        working = self.repository.working_folder(self.name)
        found: dict[str, dict[str, tuple[int, int]]] = {}
        unreadable = []
        for folder, files in working.scan().arrays.items():
            try:
                array = working.describe(folder, files).variable
            except UnreadableError:
                unreadable.append(stem(folder))
            else:
                found[stem(folder)] = dict(zip(array.dims, zip(array.shape, array.chunks, strict=True), strict=True))
        if not found and (latest := self.latest):
            return recall_from(latest.arrays, unreadable)
        return recall(found, unreadable)

    def check(self, *specs: str) -> CheckReport:
        """Say what loading would do, and which arrays belong together, before loading.

        Parameters
        ----------
        *specs : str
            Recorded versions: ``"@first_iteration"``, or several that are to be loaded together,
            ``"C@first_iteration", "A@latest"``. By default the folder as it is now.

        Returns
        -------
        CheckReport
            See :func:`minian_vc.check`.

        Raises
        ------
        NotFoundError
            There is no such revision or array, or no such folder any more.
        """
        if not specs:
            return checking.check(self.path)
        versions: list[tuple[str, ArrayVersion]] = []
        for spec in specs:
            checkpoint, array = self.find(spec)
            revision = spec.rpartition("@")[2] if "@" in spec else checkpoint.short_id
            versions += [(revision, each) for each in ((array,) if array is not None else checkpoint.arrays)]
        where = f"{self.name} {' '.join(specs)}"
        named = all(not spec.startswith("@") for spec in specs)
        return checking.check_versions(self.repository, self._row, versions, where, named=named)

    # -- opening old versions ------------------------------------------------------------------

    def open(
        self, revision: str = "latest", arrays: Sequence[str] | None = None, *, return_dict: bool = False
    ) -> xr.Dataset | dict[str, xr.DataArray]:
        """Open a checkpoint lazily, straight from the object store.

        Units are matched by their ids. Ids do not survive a merge: name the arrays (``arrays=``) that have one
        numbering; :meth:`units` tells where it starts anew, and ``check("@REV").load()`` refuses to mix two.

        Parameters
        ----------
        revision : str
            A tag, the beginning of an id, ``latest`` or ``latest~2``.
        arrays : sequence of str, optional
            Names of the arrays to open; all that were recorded with their bytes by default.
        return_dict : bool
            Return each array as saved instead of bringing them together.

        Returns
        -------
        xarray.Dataset or dict of str to xarray.DataArray
            Dask-backed with the stored chunks. As a Dataset, arrays with ``unit_id`` are on their common
            units, in one order; what was left out is in ``attrs["left_out"]`` and in a ``LeftOutWarning``.
            Nothing is padded.

        Raises
        ------
        ConflictError
            The arrays do not belong together.
        NotFoundError
            There is no such revision or array, or it was recorded without its bytes.
        DamagedError
            On computing: stored bytes are not what was recorded.
        """
        checkpoint = self.show(revision)
        if arrays is None:
            chosen = [array for array in checkpoint.arrays if array.bytes_kept]
        else:
            chosen = [self._with_bytes(self._array(checkpoint, name)) for name in arrays]
        if return_dict:
            return {array.name: open_array(array, self._files(array)) for array in chosen}
        return open_together(chosen, self._files)

    def resume(self, revision: str = "latest", arrays: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the variables of a checkpoint, to go on from there after a kernel restart.

        ``globals().update(ds.resume("first_iteration"))`` sets A, C, S … and chk in a notebook; so does
        ``%mvc resume first_iteration``. Nothing on disk changes: to let MiniAn read these versions, restore them.

        Parameters
        ----------
        revision : str
            A tag, the beginning of an id, ``latest`` or ``latest~2``.
        arrays : sequence of str, optional
            Names of the arrays. By default all but the copies of earlier steps (``A_init``, ``C_new``, ``A_mrg``)
            and arrays from before the last merge, whose ids are other cells.

        Returns
        -------
        dict
            Name to :class:`xarray.DataArray`, lazy: dask-backed with the stored chunks, values as stored, each with
            its own coordinates; those with ``unit_id`` on their common units, in one order. And ``chk``, dim to
            chunk size, as it was recorded. Arrays recorded without their bytes are opened in the folder, if they
            still are what was recorded.

        Raises
        ------
        ConflictError
            The arrays do not belong together.
        NotFoundError
            There is no such revision or array.

        Warns
        -----
        LeftOutWarning
            Units were left out.
        UserWarning
            Arrays were left out.
        """
        checkpoint = self.show(revision)
        return {**resuming.resume(self.repository, self._row, checkpoint, arrays), "chk": resuming.chk_at(checkpoint)}

    def __getitem__(self, spec: str) -> xr.DataArray:
        """Open one named version, such as ``C@first_iteration``, as a lazy DataArray."""
        _, array = self.find(spec)
        if array is None:
            raise InvalidInputError(f"{spec!r} names all arrays of a checkpoint.", f"Use open({spec.lstrip('@')!r}).")
        return open_array(self._with_bytes(array), self._files(array))

    def _files(self, array: ArrayVersion) -> Any:
        return self.repository.stored_files(array.manifest)

    def _with_bytes(self, array: ArrayVersion) -> ArrayVersion:
        restore.refuse_without_bytes([array])
        return array

    # -- bringing back -------------------------------------------------------------------------

    def restore(self, *specs: str, as_: str | None = None, to: str | Path | None = None) -> Restored:
        """Bring versions back as ordinary folders.

        Parameters
        ----------
        *specs : str
            ``"C@first_iteration"`` for one array, ``"@first_iteration"`` for the whole checkpoint.
        as_ : str, optional
            Another name for the one array: MiniAn opens it under that name.
        to : path, optional
            Write into this folder and leave the dataset alone.

        Returns
        -------
        Restored
            What was written, and what became of uncommitted work: it is committed before it is replaced.

        Raises
        ------
        NotFoundError
            There is no such revision or array, or it was recorded without its bytes.
        AlreadyExistsError
            ``to`` holds such an array already.
        BusyError
            A save is in progress.
        DamagedError
            Stored bytes are not what was recorded; the folder is unchanged.
        """
        found = [self.find(spec) for spec in specs]
        if not found:
            raise InvalidInputError(
                "Nothing was named to restore.", "Write ARRAY@REV or @REV, as in C@first_iteration."
            )
        arrays = [array for _, array in found if array is not None]
        whole = [checkpoint for checkpoint, array in found if array is None]
        if whole and (len(found) > 1 or as_ is not None):
            raise InvalidInputError(
                "A whole checkpoint is restored alone and under its own names.", "Nothing was changed."
            )
        if to is None and (self.path.is_file() or is_netcdf_name(self.path)):
            raise InvalidInputError(
                f"{self.path} is a netCDF file: versions are not restored into it.",
                f"Nothing was changed. Write one anew: minian-vc export SPEC {self.path.name} --format netcdf --force; "
                "or restore into a folder with --to.",
            )
        if to is not None:
            return restore.restore_to(self.repository, self._row, arrays or whole[0].arrays, Path(to), as_name=as_)
        asked = Asked(found[0][0], " ".join(specs) + (f" as {as_}" if as_ else ""))
        if whole:
            return restore.restore_checkpoint(self.repository, self._row, asked)
        return restore.restore_arrays(self.repository, self._row, arrays, asked, as_name=as_)

    # -- taking out ------------------------------------------------------------------------------

    def export(
        self,
        *specs: str,
        format: str,  # noqa: A002 (what everybody calls it)
        out: str | Path,
        force: bool = False,
        provenance: bool = True,
        **options: Any,
    ) -> exporting.Exported | ExportedHistory:
        """Write a version in another format, with its identity inside. What goes out is checked first.

        The format ``icechunk`` takes the whole history instead: nothing is named, and what is in ``out`` grows.

        Parameters
        ----------
        *specs : str
            ``"@first_iteration"`` for a whole checkpoint, or arrays of one checkpoint by name:
            ``"A@first_iteration", "C@first_iteration"``. Without names, arrays that do not go with the others are left
            out, as in :meth:`resume`.
        format : str
            One of those in the table of docs/export.md, such as ``"netcdf"``.
        out : str or Path
            The file or folder to write. It appears when it is whole. For ``icechunk`` also ``s3://bucket/prefix``.
        force : bool
            Replace the file that is there, or the folder that an earlier export wrote.
        provenance : bool
            Let author and provenance go out with the identity: user, host, folders, parameters, code. Give False for
            what is to be public.
        **options
            The format's own options; see docs/export.md.

        Returns
        -------
        Exported or ExportedHistory
            What was written, and which units were left out; of a history, which checkpoints were added.

        Raises
        ------
        AlreadyExistsError
            Something is at ``out``, and ``force`` is false; or it is a folder that no export made, or holds another
            history.
        BusyError
            Another export of a history writes to ``out``.
        ConflictError
            The arrays do not belong together.
        EnvironmentUnfitError
            A package that the format needs is not installed; the message names the extra.
        InvalidInputError
            There is no such format or option, or arrays of several checkpoints are named.
        NotFoundError
            There is no such revision or array, it was recorded without its bytes, or there is no folder for ``out``.
        StorageError
            The disk is full or read-only; nothing of it stays.

        Warns
        -----
        LeftOutWarning
            Units were left out.
        UserWarning
            Arrays were left out, or an array lacks chunks.
        """
        if find_format(format).history:
            if not provenance:
                raise InvalidInputError(f"A history goes out to {format} with its provenance.", "Nothing was written.")
            return export_history(self.repository, self._row, specs, str(out), format, force=force, options=options)
        found = [self.find(spec) for spec in specs]
        return exporting.export(
            self.repository, self._row, found, Path(out), format, force=force, provenance=provenance, options=options
        )

    def frame(
        self,
        spec: str,
        *,
        wide: bool = False,
        rate: float | None = None,
        timestamps: str | Path | None = None,
    ) -> pd.DataFrame:
        """Return an array version as a pandas DataFrame, in memory. It is checked first, as in :meth:`export`.

        Parameters
        ----------
        spec : str
            The array: ``"C@first_iteration"``.
        wide : bool
            One row per frame: ``frame``, then a column per unit, named by its id as text. The array has the dims
            ``frame`` and at most one more, in any order. By default one row per value, in C order: a column per dim
            with its labels, then the values under the array's name, as ``C.to_series().reset_index()``.
        rate : float, optional
            Frames per second. A wide table then has a second column ``time``, in seconds: frame number / rate.
        timestamps : str or Path, optional
            A file with the time of each frame instead: CSV with the columns ``Frame Number`` and ``Time Stamp (ms)``,
            such as the Miniscope software's ``timeStamps.csv``; or one number of seconds per line, for the frames of
            the array if there are as many, else for frames 0, 1, 2, ….

        Returns
        -------
        pandas.DataFrame
            With dtypes as stored and the array's identity in ``attrs``. For tables larger than memory, export to csv
            or parquet.

        Raises
        ------
        ConflictError
            The array is not to be opened alone: its unit ids are not unique, say.
        InvalidInputError
            Several arrays are named, the array has no such table, times do not fit its frames, or it takes more memory
            than is free.
        NotFoundError
            There is no such revision or array, it was recorded without its bytes, or there is no file ``timestamps``.
        """
        chosen = exporting.bundle(self.repository, self._row, [self.find(spec)])
        return tabular.frame(chosen, wide, rate, timestamps)

    # -- dropping ------------------------------------------------------------------------------

    def prune(
        self,
        *,
        automatic: bool = False,
        keep_last: int | None = None,
        keep_daily: int | None = None,
        grace_days: float | None = None,
        leftovers: bool = False,
        dry_run: bool = True,
    ) -> Pruned:
        """Drop checkpoints, and free the space that only they need when nobody can want them back any more.

        A checkpoint stays if any rule keeps it; the latest and those with a tag always do. Without a rule none is
        dropped, and only what nothing refers to is removed. :meth:`undo` takes a prune back during the time of grace.

        Parameters
        ----------
        automatic : bool
            Consider only what the notebook extension recorded. What was recorded by hand, or by a restore of
            uncommitted work, stays.
        keep_last : int, optional
            Keep the newest so many of those considered.
        keep_daily : int, optional
            Keep the newest of each of the last so many days (UTC) that have any.
        grace_days : float, optional
            For how many days what is dropped can be brought back; the setting ``grace_days`` by default. With 0 the
            space is freed at once, for good.
        leftovers : bool
            Remove objects that no known checkpoint ever needed even if they are more than half of all.
        dry_run : bool
            Only say what would be dropped and freed; the default.

        Returns
        -------
        Pruned
            The checkpoints that were or would be dropped, newest first; the bytes and objects freed, those of
            other datasets of the repository and of stopped commands among them; and the bytes that wait.

        Raises
        ------
        InvalidInputError
            A number is negative.
        NotFoundError
            The dataset has no checkpoint.
        BusyError
            Another writer holds the catalog.
        DamagedError
            What a remaining checkpoint refers to is missing or damaged; nothing was changed.
        EnvironmentUnfitError
            The clock of this computer cannot be right; nothing was changed.
        StorageError
            The disk refused; the message says what was done.
        """
        rules = Retention(automatic, keep_last, keep_daily)
        return pruning.prune(
            self.repository, self._row, rules, grace_days=grace_days, leftovers=leftovers, dry_run=dry_run
        )

    # -- taking back -----------------------------------------------------------------------------

    def undo(self, *, redo: bool = False, number: int | None = None) -> Undone:
        """Take back the last command that changed the history or the folder: a commit, tag, restore or prune.

        Again takes back the one before it. After a commit is undone the folder is as it was, and not committed. A
        restore is undone by a restore: what the folder holds uncommitted is committed first.

        Parameters
        ----------
        redo : bool
            Bring back what the last undo took back, if nothing was done since.
        number : int, optional
            The number of a prune in :meth:`operations`: that one is taken back, whatever was done since.

        Returns
        -------
        Undone
            What was taken back or brought back.

        Raises
        ------
        NotFoundError
            There is nothing to undo or redo, or its bytes were removed since.
        BusyError
            Another writer holds the catalog.
        """
        return undoing.undo(self.repository, self._row, redo=redo, number=number)

    def operations(self, n: int | None = None) -> pd.DataFrame:
        """Return what changed the history or the folder, newest first.

        Parameters
        ----------
        n : int, optional
            Only the newest ``n``.

        Returns
        -------
        pandas.DataFrame
            One row per operation: sequence, created_at, action, what, checkpoint, tag, undone_by.
        """
        import pandas as pd

        columns = ("sequence", "created_at", "action", "what", "checkpoint", "tag", "undone_by")
        rows = [{name: getattr(each, name) for name in columns} for each in self.operation_log(n)]
        frame = pd.DataFrame(rows, columns=list(columns)).astype({"undone_by": "Int64"})
        frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
        return frame

    def operation_log(self, n: int | None = None) -> list[LoggedOperation]:
        """Return :meth:`operations` as a list."""
        return undoing.logged(self.repository, self._row, n)

    # -- names ---------------------------------------------------------------------------------

    def find(self, spec: str) -> tuple[Checkpoint, ArrayVersion | None]:
        """Return what a SPEC names: a checkpoint, and one of its arrays or None for all.

        Raises
        ------
        NotFoundError
            There is no such revision, or no such array in it.
        InvalidInputError
            It is no SPEC.
        """
        parsed = names.parse_spec(spec) if "@" in spec else self._alias(spec)
        checkpoint = self.show(parsed.revision)
        return checkpoint, None if parsed.array is None else self._array(checkpoint, parsed.array)

    def _alias(self, text: str) -> Spec:
        """Read ``C_first_iteration`` as C@first_iteration, where no array has that very name."""
        latest = self.latest
        known = {array.name for array in latest.arrays} if latest else set()
        if text in known:
            raise InvalidInputError(
                f"{text} is an array; of which checkpoint?", f"Write {text}@REV, as in {text}@latest."
            )
        with self.repository.catalog.read() as connection:
            tags = {tag for given in queries.tags(connection, self._row.uid).values() for tag in given}
        fitting = [spec for spec in names.alias_splits(text) if spec.revision in tags]
        fitting = [spec for spec in fitting if self.show(spec.revision).array(spec.array or "")]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            ways = " or ".join(f"{spec.array}@{spec.revision}" for spec in fitting)
            raise InvalidInputError(f"{text} could be {ways}.", "Write it with @.")
        tag = f" For all arrays of that checkpoint: @{text}." if text in tags else ""
        raise NotFoundError(
            f"{text!r} names no version of an array of {self.name}.",
            f"Write ARRAY@REV, as in C@latest.{tag} Arrays: {', '.join(sorted(known)) or 'none yet'}. "
            f"Tags: {', '.join(sorted(tags)) or 'none yet'}.",
        )

    def _array(self, checkpoint: Checkpoint, name: str) -> ArrayVersion:
        array = checkpoint.array(name)
        if array is None:
            known = names.near(name, (array.name for array in checkpoint.arrays))
            raise NotFoundError(f"Checkpoint {checkpoint.short_id} has no array {name!r}.", known)
        return array

    @classmethod
    def at(cls, repository: Repository, path: Path) -> Self:
        """Return the dataset at a path in a repository.

        Raises
        ------
        InvalidInputError
            The path is a file, lies in another dataset, or not below the repository's root.
        """
        if path.is_file() and not is_netcdf(path):
            raise InvalidInputError(
                f"{path} is a file; a dataset is a folder of arrays, or a netCDF file.", "Nothing was changed."
            )
        name = repository.relative(path)
        above = dataset_above(path)
        if above is not None and repository.dataset_row(name).latest is None:  # or arrays came to lie above its history
            raise InvalidInputError(
                f"{path} lies in the dataset {above}: a dataset cannot hold another.",
                f"Nothing was changed. Give the dataset itself: {above}",
            )
        return cls(repository, name)


def open_dataset(path: str | Path, *, create: bool = False) -> Dataset:
    """Open a MiniAn folder as a dataset with history.

    Parameters
    ----------
    path : str or Path
        The folder that ``save_minian`` writes to; or a netCDF file, such as ``minian.nc``, whose data variables are
        then the arrays.
    create : bool
        Make a repository in the folder's parent if there is none above it; the folder need not exist yet.

    Returns
    -------
    Dataset

    Raises
    ------
    NotFoundError
        There is no such folder, or no repository above it.
    InvalidInputError
        The folder is no dataset, or lies in one.
    """
    folder = Path(path).resolve()
    put_in_order(folder.parent)
    if create:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            repository = Repository.find(folder.parent)
        except NotFoundError:
            repository = Repository.create(folder.parent)
        return Dataset.at(repository, folder)
    dataset = Dataset.at(Repository.find(folder), folder)
    if not folder.exists():
        known = [row.path for row in dataset.repository.datasets()]
        if dataset.name not in known:
            hint = names.near(dataset.name, known) if known else "Check the path."
            raise NotFoundError(f"There is no folder {folder}.", hint)
    elif folder.is_dir() and not is_dataset(folder) and dataset.repository.dataset_row(dataset.name).latest is None:
        below = [str(each) for each in datasets_below(folder)]
        raise InvalidInputError(
            f"{folder} is not a dataset: it has no arrays that save_minian wrote.",
            f"Datasets below it: {', '.join(below[:5])}." if below else "Nothing was changed. Check the path.",
        )
    return dataset
