"""What must be in memory is estimated first, and refused where that much is not free."""

from __future__ import annotations

from minian_vc.errors import InvalidInputError
from minian_vc.text import size

__all__ = ["refuse_beyond_memory"]


def refuse_beyond_memory(need: int, what: str, way_out: str) -> None:
    """Refuse what takes more memory than is free.

    Parameters
    ----------
    need : int
        The bytes that it takes, estimated from dims and dtypes.
    what : str
        What takes them, such as ``"C as a DataFrame"``.
    way_out : str
        What to do instead.

    Raises
    ------
    InvalidInputError
        That much is not free.
    """
    import psutil

    free = psutil.virtual_memory().available
    if need > free:
        raise InvalidInputError(
            f"{what} takes about {size(need)} of memory, and {size(free)} are free.", f"Nothing was written. {way_out}"
        )
