"""Where a commit is made: Python, machine, packages, the git commit of the code, and the code that runs.

Nothing is imported for it, git is asked for a moment only, and what cannot be told is left out: a commit never fails
because of it.
"""

from __future__ import annotations

import functools
import getpass
import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import Any

from minian_vc import git
from minian_vc.json_values import MAX_CODE, clean_text

__all__ = ["PACKAGES", "describe", "package_version", "running_code", "user_and_host"]

PACKAGES = (  # what decides over MiniAn's values and files; names as pip has them
    "minian",
    "xarray",
    "zarr",
    "dask",
    "distributed",
    "numpy",
    "pandas",
    "scipy",
    "numcodecs",
    "rechunker",
    "numba",
    "sparse",
    "networkx",
    "scikit-image",
    "scikit-learn",
    "statsmodels",
    "cvxpy",
    "ecos",
    "scs",
    "pyfftw",
    "medpy",
    "simpleitk",
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
    "sk-video",
    "ffmpeg-python",
    "tifffile",
    "fsspec",
    "ipykernel",
)
OWN_PROGRAMS = {"minian-vc", "mvc", "minian-vc-script.py", "mvc-script.py"}


def describe() -> dict[str, Any]:
    """Return ``environment``, and where there is any, ``git`` and ``code``, as a checkpoint keeps them."""
    folder = _folder()
    user, host = user_and_host()
    found: dict[str, Any] = {
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "host": host,
            "user": user,
            "folder": None if folder is None else clean_text(str(folder)),
            "packages": dict(_packages()),
        }
    }
    if folder is not None and (state := git.state_of(folder)) is not None:
        found["git"] = state
    if (code := running_code()) is not None:
        found["code"] = code
    return found


def user_and_host() -> tuple[str, str]:
    """Return who works here, and on which machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name for this user id
        user = "unknown"
    return user, platform.node() or "localhost"


def package_version(name: str) -> str | None:
    """Return the version of an installed package, from its metadata; None where it is not installed."""
    try:
        return importlib.metadata.version(name) or None
    except (importlib.metadata.PackageNotFoundError, KeyError):  # KeyError: metadata without a version
        return None


@functools.cache
def _packages() -> tuple[tuple[str, str], ...]:
    return tuple((name, version) for name in PACKAGES if (version := package_version(name)) is not None)


def _folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


# -- the code that runs -----------------------------------------------------------------------


def running_code() -> dict[str, Any] | None:
    """Return the notebook cell or the script that runs now; None at the prompt, and in minian-vc itself."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return _script() if shell is None else _cell(shell)


def _cell(shell: Any) -> dict[str, Any] | None:
    try:
        running = shell.displayhook.exec_result  # the history does not tell whether its last cell still runs
        source, number = running.info.raw_cell, running.execution_count if running.info.store_history else None
        return None if running.info.silent else {"cell": clean_text(source, MAX_CODE), "number": number}
    except (AttributeError, TypeError):  # nothing runs
        return None


def _script() -> dict[str, Any] | None:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not file or hasattr(sys, "ps1"):
        return None
    path = Path(file).absolute()
    own = path.name in OWN_PROGRAMS or path.parent.name in {"minian-vc.exe", "mvc.exe"}
    return None if own else {"script": clean_text(str(path))}
