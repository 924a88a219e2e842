"""How people read and write provenance: the lines of show, the table of diff, the parameters that log finds by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minian_vc.errors import InvalidInputError
from minian_vc.looks.checkpoint import value_text
from minian_vc.param_paths import flatten
from minian_vc.params import Missing
from minian_vc.text import by_dim, printable, read_value

__all__ = ["describe", "param_rows", "params_as_json", "wanted"]

LABEL = 11  # columns; as wide as show's other labels
MAX_LINES = 40
FIRST_PACKAGES = ("minian", "xarray", "zarr", "dask", "numpy", "numcodecs")


def wanted(texts: tuple[str, ...]) -> dict[str, Any]:
    """Read ``--param NAME=VALUE`` and ``--param NAME``, which any value fits.

    Raises
    ------
    InvalidInputError
        One has no name.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise InvalidInputError(f"--param {text!r} names no parameter.", "Write it like --param p=1")
        if name in found:
            raise InvalidInputError(f"--param {name} is given twice; no checkpoint has two values.")
        found[name] = read_value(value) if equals else ...
    return found


def param_rows(params: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    """Return parameters that differ as rows: path, old, new."""
    return [(printable(path), _value(old), _value(new)) for path, (old, new) in params.items()]


def params_as_json(params: Mapping[str, tuple[Any, Any]]) -> dict[str, dict[str, Any]]:
    """Return parameters that differ as JSON; what a side does not have is no key."""
    sides = ("old", "new")
    return {
        path: {side: value for side, value in zip(sides, pair, strict=True) if not isinstance(value, Missing)}
        for path, pair in params.items()
    }


def describe(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that tell a checkpoint's provenance; what was not recorded has none."""
    yield from _params(flatten(provenance.get("params")))
    chk = provenance.get("chk")
    if chk:
        yield _labelled("chk", by_dim(chk, ", "))
    if provenance.get("automatic"):
        yield _labelled("automatic", provenance["automatic"])
    yield from _code(provenance.get("code") or {})
    yield from _environment(provenance.get("environment") or {}, provenance.get("minian_vc", ""))
    yield from _git(provenance.get("git") or {})


def _labelled(label: str, text: Any) -> str:
    return f"{label:{LABEL}}{printable(str(text))}"


def _value(value: Any) -> str:
    return printable(value_text(value))


def _params(params: Mapping[str, Any]) -> Iterator[str]:
    width = max(map(len, params), default=0)
    for label, (path, value) in zip(["params", *[""] * len(params)], params.items(), strict=False):
        yield f"{label:{LABEL}}{printable(path):{width}} = {_value(value)}"


def _code(code: Mapping[str, Any]) -> Iterator[str]:
    if "script" in code:
        yield _labelled("script", code["script"])
    if "cell" not in code:
        return
    number = code.get("number")
    yield f"cell       [{' ' if number is None else number}]"
    lines = str(code["cell"]).splitlines()
    for line in lines[:MAX_LINES]:
        yield f"    {printable(line.expandtabs())}"
    if len(lines) > MAX_LINES:
        yield f"    … {len(lines) - MAX_LINES} more lines: --json has them"


def _environment(environment: Mapping[str, Any], version: str) -> Iterator[str]:
    program = f"minian_vc {version}".strip()
    if not environment:
        if version:
            yield _labelled("made with", program)
        return
    python, platform, user, host = (environment.get(key, "?") for key in ("python", "platform", "user", "host"))
    folder = f" in {environment['folder']}" if environment.get("folder") else ""
    yield _labelled("made with", f"{program}, Python {python} on {platform}, {user}@{host}{folder}")
    packages = environment.get("packages") or {}
    named = [f"{name} {packages[name]}" for name in FIRST_PACKAGES if name in packages]
    if len(packages) > len(named):
        named.append(f"{len(packages) - len(named)} more: --json has them")
    if named:
        yield _labelled("packages", ", ".join(named))


def _git(git: Mapping[str, Any]) -> Iterator[str]:
    if not git:
        return
    branch = f" on {git['branch']}" if git.get("branch") else ""
    state = {True: ", with changes that are not committed", False: "", None: ", perhaps with changes"}
    yield _labelled("git", f"{git['commit']}{branch}{state.get(git.get('dirty'), '')}")
