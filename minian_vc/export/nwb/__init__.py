"""NWB: footprints, traces and what was recorded, as pynapple and DANDI take them."""

from minian_vc.export.nwb.metadata import template
from minian_vc.export.nwb.writing import write

__all__ = ["template", "write"]
