"""The dims that MiniAn's arrays have, for formats that read them by name of the array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from minian_vc.coherence import UNIT
from minian_vc.errors import InvalidInputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DIMS", "FRAME", "IMAGE", "UNIT", "refuse_other_dims"]

FRAME = "frame"
IMAGE = ("height", "width")
TRACE = (UNIT, FRAME)
DIMS = {  # in MiniAn's order
    **{"A": (UNIT, *IMAGE), "b": IMAGE, "max_proj": IMAGE, "f": (FRAME,)},
    **{"C": TRACE, "S": TRACE, "b0": TRACE},
}


def refuse_other_dims(together: xr.Dataset, names: Iterable[str], reader: str, instead: str) -> None:
    """Refuse arrays whose dims are not MiniAn's, in any order.

    Parameters
    ----------
    together : xarray.Dataset
        What goes out.
    names : iterable of str
        Those to look at, of :data:`DIMS`; they need not be there.
    reader : str
        Who reads the arrays so.
    instead : str
        What to do instead.

    Raises
    ------
    InvalidInputError
        One has others.
    """
    for name in names:
        has = together[name].dims if name in together.data_vars else DIMS[name]
        if set(has) != set(DIMS[name]):
            raise InvalidInputError(
                f"{reader} reads {name} as {' x '.join(DIMS[name])}, "
                f"and it has the dims {' x '.join(map(str, has)) or '(none)'}.",
                f"Nothing was written. {instead}",
            )
