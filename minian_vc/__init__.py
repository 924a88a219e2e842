"""Checkpoints for MiniAn: version control for a folder of zarr arrays that a notebook rewrites.

Examples
--------
>>> import minian_vc as mvc
>>> ds = mvc.open("minian_intermediate", create=True)  # doctest: +SKIP
>>> ds.commit("after the first temporal update", tag="first_iteration")  # doctest: +SKIP
>>> ds["C@first_iteration"]  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from minian_vc.version import __version__

if TYPE_CHECKING:
    from minian_vc.arrays.opening import LeftOutWarning
    from minian_vc.dataset import Dataset
    from minian_vc.dataset import open_dataset as open  # noqa: A004 (mvc.open is the public name)
    from minian_vc.model import ArrayVersion, Checkpoint
    from minian_vc.repository import Repository
    from minian_vc.verbs.check import check
    from minian_vc.verbs.open_minian import open_minian
    from minian_vc.verbs.report import CheckReport
    from minian_vc.verbs.save import save_minian

__all__ = [
    "ArrayVersion",
    "CheckReport",
    "Checkpoint",
    "Dataset",
    "LeftOutWarning",
    "Repository",
    "__version__",
    "check",
    "errors",
    "open",
    "open_minian",
    "save_minian",
]

_HOMES = {  # loaded when first used: importing minian_vc is light
    "ArrayVersion": ("minian_vc.model", "ArrayVersion"),
    "CheckReport": ("minian_vc.verbs.report", "CheckReport"),
    "Checkpoint": ("minian_vc.model", "Checkpoint"),
    "Dataset": ("minian_vc.dataset", "Dataset"),
    "LeftOutWarning": ("minian_vc.arrays.opening", "LeftOutWarning"),
    "Repository": ("minian_vc.repository", "Repository"),
    "check": ("minian_vc.verbs.check", "check"),
    "open": ("minian_vc.dataset", "open_dataset"),
    "open_minian": ("minian_vc.verbs.open_minian", "open_minian"),
    "save_minian": ("minian_vc.verbs.save", "save_minian"),
    "load_ipython_extension": ("minian_vc.notebook", "load_ipython_extension"),
    "unload_ipython_extension": ("minian_vc.notebook", "unload_ipython_extension"),
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("minian_vc.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'minian_vc' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
