"""chk recall: the chunk sizes a dataset's arrays agree on. Pure.

MiniAn's ``chk`` is made once per run, by ``get_optimal_chk``, and lost with the kernel. Arrays carry it: each
is cut by ``chk`` along some dimensions and not at all along others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from minian_vc.model import ArrayVersion

__all__ = ["CHK_DIMS", "Chk", "recall", "recall_from"]

CHK_DIMS = ("frame", "height", "width")


class Chk(dict[str, int]):
    """MiniAn's ``chk`` dictionary, dimension → chunk size.

    Attributes
    ----------
    deviating : dict
        Array → dimension → chunk size, where an array is cut otherwise.
    unreadable : tuple of str
        Arrays that could not be asked.
    """

    def __init__(
        self, sizes: Mapping[str, int], deviating: Mapping[str, Mapping[str, int]], unreadable: Sequence[str] = ()
    ) -> None:
        super().__init__(sizes)
        self.unreadable = tuple(unreadable)
        self.deviating = {name: dict(spec) for name, spec in deviating.items()}


def recall(arrays: Mapping[str, Mapping[str, tuple[int, int]]], unreadable: Sequence[str] = ()) -> Chk:
    """Find the chunk sizes that arrays agree on.

    Parameters
    ----------
    arrays : mapping
        Array → dimension → (size, chunk size).
    unreadable : sequence of str
        Arrays that could not be asked; passed on.

    Returns
    -------
    Chk
        For each of frame, height and width that occurs: the chunk size of the arrays that are cut along it
        (the most frequent one, if they disagree), or the whole size where none is cut.
    """
    sizes: dict[str, int] = {}
    deviating: dict[str, dict[str, int]] = {}
    for dim in CHK_DIMS:
        having = {name: spec[dim] for name, spec in arrays.items() if dim in spec}
        cut = {name: chunk for name, (size, chunk) in having.items() if chunk < size}
        whole = [size for size, _ in having.values()]
        if not having:
            continue
        votes = Counter(cut.values() or whole)
        sizes[dim] = min(votes, key=lambda size: (-votes[size], size))
        for name, chunk in cut.items():
            if chunk != sizes[dim]:
                deviating.setdefault(name, {})[dim] = chunk
    return Chk(sizes, deviating, unreadable)


def recall_from(arrays: Iterable[ArrayVersion], unreadable: Sequence[str] = ()) -> Chk:
    """Find the chunk sizes that array versions agree on."""
    known = {a.name: {dim: (n, a.chunks[dim]) for dim, n in zip(a.dims, a.shape, strict=True)} for a in arrays}
    return recall(known, unreadable)
