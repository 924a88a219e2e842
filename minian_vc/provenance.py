"""What is kept about how a checkpoint came to be: the schema, as plain JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minian_vc.errors import InvalidInputError
from minian_vc.json_values import MAX_CODE, clean_text, plain
from minian_vc.version import __version__

__all__ = ["Source", "ask_from_now_on", "gather", "together", "what_the_source_knows"]

Source = Callable[[], Mapping[str, Any]]

MAX_PARAMS = 256 * 1024  # characters of all parameters; those that come later are left out, and named

_source: Source | None = None


def ask_from_now_on(source: Source | None) -> None:
    """Let every commit of this process ask a source what it knows, as :func:`gather` returns it; None for nobody."""
    global _source
    _source = source


def what_the_source_knows() -> Mapping[str, Any]:
    """Return what the source says now: nothing where there is none, or where it fails."""
    try:
        return {} if _source is None else _source()
    except Exception:  # a commit never fails because of it
        return {}


def together(found: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was found with what the caller gave, which stands instead; of ``params``, each by its name."""
    params = {**found.get("params", {}), **given.get("params", {})}
    return {**found, **given, **({"params": params} if params else {})}


def gather(
    params: Mapping[str, Any] | None = None,
    *,
    chk: Mapping[str, int] | None = None,
    code: Mapping[str, Any] | None = None,
    automatic: str | None = None,
) -> dict[str, Any]:
    """Return what the caller of a commit knows of it; commit adds environment, git, the code that runs, and check.

    Parameters
    ----------
    params : mapping of str to value, optional
        The parameters, in any depth; see :func:`minian_vc.json_values.plain`.
    chk : mapping of str to int, optional
        MiniAn's ``chk``, dim → chunk size.
    code : mapping, optional
        ``{"cell": source, "number": execution count or None}`` or ``{"script": path}``.
    automatic : str, optional
        What made the checkpoint, where no person did: ``notebook`` or ``restore``.

    Raises
    ------
    InvalidInputError
        ``params`` is no mapping.
    """
    kept: dict[str, Any] = {"minian_vc": __version__}
    if params:
        kept["params"] = _params(params)
    if chk:
        kept["chk"] = plain(chk)
    if code:
        kept["code"] = {key: clean_text(v, MAX_CODE) if isinstance(v, str) else plain(v) for key, v in code.items()}
    if automatic:
        kept["automatic"] = automatic
    return kept


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(params, Mapping):
        raise InvalidInputError(
            f"params is a {type(params).__name__}, not a dictionary of parameters.",
            'Nothing was recorded. Write it like params={"noise_freq": 0.06}',
        )
    kept: dict[str, Any] = {}
    room = MAX_PARAMS
    for name, value in params.items():
        one = plain({name: value})
        room -= len(repr(one))
        kept |= one if room > 0 else {clean_text(str(name)): "left out: all parameters together are too large"}
    return kept
