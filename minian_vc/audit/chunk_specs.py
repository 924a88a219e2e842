"""The rule about chunk specs: arrays of one run are cut by one ``chk``."""

from __future__ import annotations

from collections.abc import Iterator

from minian_vc.audit.model import Judged, Rule, judged, listed
from minian_vc.chunk_specs import recall
from minian_vc.facts import DatasetFacts

__all__ = ["RULES"]


def inconsistent_chunks(dataset: DatasetFacts) -> Iterator[Judged]:
    """Arrays cut otherwise than most along a dimension."""
    specs = {
        array.name: dict(zip(m.dims, zip(m.shape, m.chunks, strict=True), strict=True))
        for array in dataset.arrays
        if (m := array.metadata) is not None
    }
    chk = recall(specs)
    if chk.deviating:
        shown = "; ".join(f"{name}: {spec}" for name, spec in list(chk.deviating.items())[:4])
        what = f"{listed(chk.deviating)}: cut otherwise than the others, whose chk is {dict(chk)} ({shown})."
        first, spec = next(iter(chk.deviating.items()))
        fix = f"save_minian({first}, …, chunks={ {dim: chk[dim] for dim in spec} })"
        yield judged("chunks-inconsistent", "warning", what, chk.deviating, dim=next(iter(spec)), fix=fix)


RULES: tuple[Rule, ...] = (inconsistent_chunks,)
