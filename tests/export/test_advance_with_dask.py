"""Progress inside an array: told while dask works, and exact in the end."""

from __future__ import annotations

import dask.array as da

from minian_vc.export.computing import advance_with_dask


def test_the_shares_add_up_to_the_bytes():
    """Several shares, none negative."""
    told: list[int] = []
    with advance_with_dask(told.append, 1001):
        da.ones(100, chunks=10).compute(scheduler="sync")
    assert sum(told) == 1001
    assert sum(share > 0 for share in told) > 3
    assert min(told) >= 0


def test_what_needs_no_dask_is_told_at_once():
    """A small array in memory."""
    told: list[int] = []
    with advance_with_dask(told.append, 7):
        pass
    assert told == [7]
