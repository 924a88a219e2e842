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
    from minian_vc.health.rebuild import Rebuilt, rebuild
    from minian_vc.health.repair import repair
    from minian_vc.health.repaired import Repaired
    from minian_vc.health.report import VerifyReport
    from minian_vc.health.verify import verify
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
    "Rebuilt",
    "Repaired",
    "Repository",
    "VerifyReport",
    "__version__",
    "check",
    "errors",
    "open",
    "open_minian",
    "rebuild",
    "repair",
    "save_minian",
    "verify",
]

_HOMES = {  # loaded when first used: importing minian_vc is light
    "ArrayVersion": ("minian_vc.model", "ArrayVersion"),
    "CheckReport": ("minian_vc.verbs.report", "CheckReport"),
    "Checkpoint": ("minian_vc.model", "Checkpoint"),
    "Dataset": ("minian_vc.dataset", "Dataset"),
    "LeftOutWarning": ("minian_vc.arrays.opening", "LeftOutWarning"),
    "Rebuilt": ("minian_vc.health.rebuild", "Rebuilt"),
    "Repaired": ("minian_vc.health.repaired", "Repaired"),
    "Repository": ("minian_vc.repository", "Repository"),
    "VerifyReport": ("minian_vc.health.report", "VerifyReport"),
    "check": ("minian_vc.verbs.check", "check"),
    "open": ("minian_vc.dataset", "open_dataset"),
    "open_minian": ("minian_vc.verbs.open_minian", "open_minian"),
    "rebuild": ("minian_vc.health.rebuild", "rebuild"),
    "repair": ("minian_vc.health.repair", "repair"),
    "save_minian": ("minian_vc.verbs.save", "save_minian"),
    "verify": ("minian_vc.health.verify", "verify"),
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
