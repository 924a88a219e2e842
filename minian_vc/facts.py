"""What datasets say of themselves, without their data: the input of prediction and audit. Pure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from minian_vc.model import ArrayVersion
from minian_vc.prediction.model import Bundle, Fails, Unsure, Variable
from minian_vc.units import Numbering
from minian_vc.zarr_format import ArrayMetadata

__all__ = ["ArrayFacts", "ArrayFiles", "Chunks", "DatasetFacts", "Kind", "KnownHistory"]

Kind = Literal["array", "format-3", "leftover", "foreign", "broken"]


class ArrayFiles(Mapping[str, bytes]):
    """The files of an array folder by key, read only when asked for, wherever they lie."""

    @property
    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """The size of every file; an empty folder is a key that ends in ``/``."""

    @property
    @abstractmethod
    def newest_ns(self) -> int:
        """When a file was last written, in ns; 0 where that is not known."""

    @abstractmethod
    def mtime_ns(self, key: str) -> int:
        """Return when a file was last written, in ns; 0 where that is not known."""

    @abstractmethod
    def head(self, key: str, size: int) -> bytes | None:
        """Return the first bytes of a file; None where it cannot be read."""

    @abstractmethod
    def is_changed(self) -> bool:
        """Tell whether the folder is another than when it was listed."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """The data chunks of an array: how many it should have, how many are missing, which are cut off, and files of
    a save that did not finish.
    """

    expected: int = 0
    missing: int = 0
    cut_off: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ArrayFacts:
    """One folder of a dataset.

    Parameters
    ----------
    name : str
        The folder's name without ``.zarr``.
    files : ArrayFiles
        Its files.
    opened : Bundle, Fails or Unsure
        What ``open_minian`` has in hand after opening it, or what prevents that.
    kind : {"array", "format-3", "leftover", "foreign", "broken"}
        What the folder is. A leftover is a rechunker's, a foreign one no zarr folder at all.
    metadata : ArrayMetadata, optional
        What its own ``.zarray`` says, where that can be read.
    chunks : Chunks
        Of the data.
    stale : tuple of str
        What ``.zmetadata`` says otherwise than the arrays' own metadata.
    saved_ns, newest_ns : int
        When the array was saved, and when a file in it was last written; 0 where it is a recorded version.
    manifest : str, optional
        Digest of its manifest, where it is recorded.
    bytes_kept : bool
        Whether its data are recorded too.
    link : bool
        Whether the folder is a symbolic link.
    """

    name: str
    folder: str
    files: ArrayFiles
    opened: Bundle | Fails | Unsure
    kind: Kind = "array"
    metadata: ArrayMetadata | None = None
    chunks: Chunks = field(default_factory=Chunks)
    stale: tuple[str, ...] = ()
    saved_ns: int = 0
    newest_ns: int = 0
    manifest: str | None = None
    bytes_kept: bool = True
    link: bool = False

    @property
    def bundle(self) -> Bundle | None:
        """The array with its coordinates, if MiniAn can open it."""
        return self.opened if isinstance(self.opened, Bundle) else None

    @property
    def inner_name(self) -> str | None:
        """The name under which MiniAn has it."""
        return next(iter(self.bundle.data), None) if self.bundle else None

    @property
    def variable(self) -> Variable | None:
        """Dims, shape and dtype of the array."""
        return next(iter(self.bundle.data.values()), None) if self.bundle else None

    @property
    def coordinates(self) -> dict[str, Variable]:
        """Its coordinates by name."""
        bundle = self.bundle
        return {n: v for n, v in bundle.variables.items() if n in bundle.coordinates} if bundle else {}

    def text(self, name: str) -> str | None:
        """Return a scalar coordinate such as ``session`` as text; None where there is none."""
        variable = self.coordinates.get(name)
        if variable is None or variable.dims or isinstance(variable.contents, Exception):
            return None
        return str(variable.contents)

    @property
    def unit_ids(self) -> tuple[Any, ...] | None:
        """The unit ids in order, where it has any and they can be told."""
        units = self.coordinates.get("unit_id")
        if units is None or units.dims != ("unit_id",) or isinstance(units.contents, Exception):
            return None
        return tuple(units.contents.tolist())


@dataclass(frozen=True, slots=True)
class KnownHistory:
    """What the catalog knows about a dataset.

    Parameters
    ----------
    numberings : mapping of str to (int, int)
        Manifest → the least and the most merges that came before that array version.
    merges : int
        How many merges were recorded.
    latest : tuple of ArrayVersion
        The arrays of the latest checkpoint.
    tags : frozenset of str
        The dataset's tags: ``C_first_iteration`` beside ``C`` is an old version, kept on purpose.
    """

    numberings: Mapping[str, Numbering] = field(default_factory=dict)
    merges: int = 0
    latest: tuple[ArrayVersion, ...] = ()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """A dataset, or arrays that are to be loaded together.

    ``now_ns`` is when it was looked at; 0 for recorded versions, of which none is being
    written. ``named`` tells that the user named the arrays one by one.
    """

    where: str
    arrays: tuple[ArrayFacts, ...]
    now_ns: int = 0
    named: bool = False
    history: KnownHistory | None = None

    @property
    def readable(self) -> tuple[ArrayFacts, ...]:
        """The arrays that MiniAn can open."""
        return tuple(array for array in self.arrays if array.bundle is not None)

    @property
    def input_nbytes(self) -> int:
        """Bytes in memory of the readable arrays as they are on disk."""
        variables = [array.variable for array in self.readable]
        return sum(v.size * v.dtype.itemsize for v in variables if v is not None)
