"""A repository: the folder ``.minian_vc`` and the datasets below its parent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy import Connection

from minian_vc import durable, names, reserve
from minian_vc.arrays.netcdf_mirror import mirror
from minian_vc.catalog import Catalog, queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.config import Config
from minian_vc.dataset_folders import FOLDER, dataset_above, is_dataset
from minian_vc.environment import user_and_host
from minian_vc.errors import DamagedError, InvalidInputError, MinianVCError, NotFoundError
from minian_vc.fields import is_path
from minian_vc.history import History, lost_checkpoints, open_history, refuse_unlike_log
from minian_vc.looks import history as looks
from minian_vc.model import PREFIX, Checkpoint, digest_of
from minian_vc.objects import ObjectStore, StoredFiles
from minian_vc.operations import OperationLog
from minian_vc.redaction import redact
from minian_vc.swap import recover
from minian_vc.text import number, short
from minian_vc.working_folder import WorkingFolder

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FOLDER", "Repository", "has_repository", "pruned_error"]

MIN_PREFIX = 4


class Repository:
    """Many datasets, one catalog, one object store.

    Use :meth:`create`, :meth:`find` or :meth:`open`.

    Attributes
    ----------
    root : Path
        The folder whose datasets are versioned.
    folder : Path
        ``root/.minian_vc``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.staging = self.folder / "staging"
        self.objects = ObjectStore(self.folder / "objects", self.staging)
        self.operations = OperationLog(self.folder / "operations", self.staging)
        self.catalog = Catalog(self.folder / "catalog.sqlite")

    @cached_property
    def config(self) -> Config:
        """Its settings; read when first asked for."""
        return Config.load(self.folder / "config.json")

    def __repr__(self) -> str:
        return looks.line(f"minian_vc.Repository {self.root}", self._datasets_line)

    def _datasets_line(self) -> str:
        with self.catalog.read() as connection:
            return looks.repository_line(queries.summaries(connection))

    def _repr_html_(self) -> str:
        return looks.html(self._html, repr(self))

    def _html(self) -> str:
        with self.catalog.read() as connection:
            return looks.repository_html(self.root, queries.summaries(connection))

    @classmethod
    def open(cls, root: Path | str) -> Self:
        """Open the repository of a folder, its catalog brought up to date.

        Raises
        ------
        NotFoundError
            The folder has no repository.
        EnvironmentUnfitError
            A newer minian_vc made it.
        DamagedError
            The catalog is damaged, or is not what the operation log amounts to.
        """
        root = Path(root).resolve()
        if not has_repository(root):
            raise NotFoundError(f"There is no repository in {root}.", f"Make one: minian-vc init {root}")
        repository = cls(root)
        _ = repository.config  # refuses a newer format before anything is touched
        with contextlib.suppress(OSError):  # read-only media are still read
            repository.staging.mkdir(exist_ok=True)
            recover(repository.staging, repository.folder / "displaced")
        repository.catalog.prepare()
        with repository.catalog.read() as connection:
            last = refuse_unlike_log(connection, repository.operations)
        if not last:
            repository.refuse_lost_log((), last)
        if repository.operations.path(last + 1).exists():
            with repository.history():
                pass  # catches up
        return repository

    @classmethod
    def find(cls, start: Path | str) -> Self:
        """Open the nearest repository at or above a path.

        Raises
        ------
        NotFoundError
            There is none.
        """
        start = Path(start).resolve()
        for folder in (start, *start.parents):
            if has_repository(folder):
                return cls.open(folder)
        raise NotFoundError(
            f"There is no repository at or above {start}.",
            "Make one in the folder that holds your datasets: minian-vc init FOLDER",
        )

    @classmethod
    def create(cls, root: Path | str) -> Self:
        """Make a repository in a folder, or open the one that is there.

        Raises
        ------
        InvalidInputError
            The folder is a dataset or lies in one: MiniAn would take ``.minian_vc`` for an array.
        NotFoundError
            The folder does not exist.
        """
        root = Path(root).resolve()
        if not root.is_dir():
            raise NotFoundError(f"There is no folder {root}.", "Nothing was made. Check the path.")
        inside = root if is_dataset(root) else dataset_above(root)
        if inside is not None:
            raise InvalidInputError(
                f"{inside} is a dataset: MiniAn would take a repository in it for an array.",
                f"Nothing was made. Use the folder above: minian-vc init {inside.parent}",
            )
        if not has_repository(root):
            cls._refuse_to_hide_history(root)
            folder = root / FOLDER
            with durable.storage_errors("make the repository", folder):
                for name in ("objects", "operations", "staging", "working"):
                    (folder / name).mkdir(parents=True, exist_ok=True)
                durable.flush((), (root, folder))
            identity = os.urandom(8).hex()
            Config(repository=identity).save(folder / "config.json", folder / "staging")
            reserve.hold(folder)
        return cls.open(root)

    @classmethod
    def _refuse_to_hide_history(cls, root: Path) -> None:
        """Refuse a place below a repository which has history there: a new one would take its place."""
        outer, datasets = root, []
        with contextlib.suppress(OSError, MinianVCError):  # one that cannot be looked into stops nobody
            outer = next(filter(has_repository, root.parents), root)
            datasets = cls.open(outer).datasets() if outer != root else []
        for dataset in datasets:
            path = outer / dataset.path
            if root == path or root in path.parents:
                raise InvalidInputError(
                    f"The repository in {outer} has the history of {dataset.path}, which a new one would hide.",
                    "Nothing was made. Use that one.",
                )

    # -- datasets ------------------------------------------------------------------------------

    def datasets(self) -> list[DatasetRow]:
        """Return the datasets that have checkpoints, by path."""
        with self.catalog.read() as connection:
            return queries.datasets(connection)

    def arrays(
        self,
        *,
        name: str | None = None,
        animal: str | None = None,
        session: str | None = None,
        unit_id: int | str | None = None,
    ) -> pd.DataFrame:
        """Find array versions over all history, by indexes.

        Parameters
        ----------
        name, animal, session : str, optional
            Of that array name, animal or session.
        unit_id : int or str, optional
            That have this unit.

        Returns
        -------
        pandas.DataFrame
            One row per checkpoint and array: dataset, checkpoint, created_at, name, animal, session, manifest.
        """
        import pandas as pd

        columns = ["dataset", "checkpoint", "created_at", "name", "animal", "session", "manifest"]
        with self.catalog.read() as connection:
            found = queries.find_arrays(connection, name=name, animal=animal, session_name=session, unit_id=unit_id)
        return pd.DataFrame(found, columns=columns)

    def dataset_row(self, path: str) -> DatasetRow:
        """Return the dataset of a path below the root, a new one if the catalog has none there."""
        with self.catalog.read() as connection:
            row = queries.dataset_at(connection, path)
        return row or DatasetRow(uid=os.urandom(8).hex(), path=path, latest=None)

    def relative(self, folder: Path) -> str:
        """Return a dataset's path below the root, with ``/`` on every system.

        Raises
        ------
        InvalidInputError
            The folder is the root itself, or not below it.
        """
        with contextlib.suppress(ValueError):
            relative = folder.relative_to(self.root.resolve()).as_posix()
            if is_path(relative):
                return relative
        raise InvalidInputError(
            f"{folder} is not a dataset below the repository in {self.root}.",
            "Nothing was changed. The repository lies in the parent of its datasets.",
        )

    def working_folder(self, path: str) -> WorkingFolder:
        """Return the working folder of the dataset at a path below the root: a netCDF file's is its mirror.

        Raises
        ------
        InvalidInputError
            A link on the way leads out of the root, or into the repository's own folder.
        """
        key, folder = digest_of(path.encode()).removeprefix(PREFIX)[:16], self.root / path
        self.relative(folder.resolve())
        if folder.is_file():
            folder = mirror(folder, self.folder / "netcdf" / key, self.staging)
        return WorkingFolder(folder, self.folder / "working" / key, self.objects)

    # -- history -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def history(self) -> Iterator[History]:
        """Open the one write transaction over history."""
        with open_history(self.catalog, self.operations, self.objects) as history:
            yield history

    def refuse_lost_log(self, named: Collection[str], last: int) -> None:
        """Refuse to go on where there are checkpoints that the operation log must have named.

        Parameters
        ----------
        named : collection of str
            What the operations name, up to the number ``last``. If there are more by now, nothing is known.

        Raises
        ------
        DamagedError
            There are.
        """
        lost = lost_checkpoints(self.objects, named)
        if lost and not self.operations.path(last + 1).exists():
            raise DamagedError(
                f"The operation log {self.operations.folder} has lost operations: {number(len(lost), 'checkpoint')} in "
                f"{self.objects.folder} follow others that it does not name.",
                "Nothing was changed. Bring that folder back from a backup.",
            )

    def checkpoint(self, checkpoint_id: str, tags: tuple[str, ...] = ()) -> Checkpoint:
        """Read a checkpoint from its document, whose digest is checked."""
        return Checkpoint.from_document(self.objects.read("checkpoints", checkpoint_id), tags)

    def resolve(self, dataset: DatasetRow, revision: str) -> Checkpoint:
        """Return the checkpoint that a REV names: a tag, ``latest``, the beginning of an id, each with ``~N``.

        Raises
        ------
        NotFoundError
            Nothing is called so, and near names are given; or that checkpoint was pruned.
        InvalidInputError
            The beginning of an id fits several.
        """
        base, steps = names.split_ancestor(revision)
        with self.catalog.read() as connection:
            current = queries.dataset_at(connection, dataset.path)
            tags = queries.tags(connection, dataset.uid)
            found: str | None = current.latest if current else None
            if found is None:
                raise NotFoundError(
                    f"{dataset.path} has no checkpoint yet.", f"Make one: minian-vc commit {dataset.path}"
                )
            if base != "latest":
                found = queries.by_tag(connection, dataset.uid, base) or self._by_prefix(connection, dataset, base)
            for _ in range(steps):
                if found is None:
                    break
                found = queries.parent_of(connection, found)
            parent = queries.parent_of(connection, found) if found else None  # the document's may be pruned
        if found is None and steps:
            raise NotFoundError(
                f"@{revision.removeprefix('@')}: the history of {dataset.path} does not go back that far.",
                "See: minian-vc log",
            )
        if found is None:
            known = [tag for given in tags.values() for tag in given]
            raise NotFoundError(
                f"{dataset.path} has no tag or checkpoint {base!r}.", names.near(base, [*known, "latest"])
            )
        return replace(self.checkpoint(found, tags.get(found, ())), parent=parent)

    def _by_prefix(self, connection: Connection, dataset: DatasetRow, base: str) -> str | None:
        prefix = base.removeprefix(PREFIX).lower()
        if len(prefix) < MIN_PREFIX or set(prefix) - set("0123456789abcdef"):
            return None
        matching = queries.by_id_prefix(connection, dataset.uid, prefix)
        found = [each for each, pruned_at in matching.items() if pruned_at is None]
        gone = {each: pruned_at for each, pruned_at in matching.items() if pruned_at is not None}
        if gone and not found:
            raise pruned_error(*next(iter(gone.items())))
        if len(found) > 1:
            shown = ", ".join(each.removeprefix(PREFIX)[:16] for each in found[:5])
            raise InvalidInputError(f"{base!r} is the beginning of {len(found)} ids: {shown}.", "Give more digits.")
        return found[0] if found else None

    def stored_files(self, manifest: str) -> StoredFiles:
        """Return the files of a stored array folder."""
        return StoredFiles(self.objects.folder, manifest)

    def configure(self, name: str, value: str) -> None:
        """Change one setting for good; lists are comma-separated.

        Raises
        ------
        InvalidInputError
            There is no such setting.
        """
        self.config = self.config.with_setting(name, value)
        self.config.save(self.folder / "config.json", self.staging)

    def require_format(self, needed: int) -> None:
        """Raise the repository's format before something is recorded that older programs do not understand."""
        if self.config.format < needed:
            self.config = replace(self.config, format=needed)
            self.config.save(self.folder / "config.json", self.staging)

    @property
    def author(self) -> str:
        """Who commits: the configured author, else user@host."""
        if self.config.author:
            return redact(self.config.author)
        return "@".join(user_and_host())


def has_repository(root: Path) -> bool:
    """Tell whether a folder has a repository; one that has history and no settings is damaged, and not made anew."""
    folder = root / FOLDER
    return (folder / "config.json").is_file() or any((folder / "operations").glob("*"))


def pruned_error(checkpoint_id: str, pruned_at: str) -> NotFoundError:
    """Return the error for a checkpoint that was dropped."""
    return NotFoundError(
        f"Checkpoint {short(checkpoint_id)} is no longer in the history: it was pruned or undone on {pruned_at[:10]}.",
        "See what is there: minian-vc log; and what may be taken back: minian-vc log --operations",
    )
