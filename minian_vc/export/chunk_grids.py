"""Arrays cut in blocks of one size, as zarr wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minian_vc.export.bundle import Bundle

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["cut_as_recorded"]


def cut_as_recorded(bundle: Bundle) -> xr.Dataset:
    """Return the arrays cut by their recorded chunk specs.

    Where units were left out, the blocks are as the rest of them fell; nothing is computed.
    """
    together = bundle.together
    specs = {name: bundle.identity["arrays"][name]["chunks"] for name in bundle.names}
    cut = {
        name: together[name].chunk({dim: max(1, size) for dim, size in spec.items()}) for name, spec in specs.items()
    }
    return together.assign(cut)
