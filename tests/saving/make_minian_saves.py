"""Make tests/data/minian-saves.json.xz: what MiniAn's save_minian leaves, for the environments that have no MiniAn.

Run it where MiniAn is installed: ``python tests/saving/make_minian_saves.py``
"""

from __future__ import annotations

import importlib.metadata
import tempfile
import warnings
from pathlib import Path

from save_cases import CASES, DATASET, REFUSED, Case, files, write_golden


def saved_by_minian(case: Case) -> dict[str, bytes]:
    """Return the files of one case."""
    from minian.utilities import save_minian

    with tempfile.TemporaryDirectory() as work, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_minian(case.make(), str(Path(work) / DATASET), **case.options)
        return files(Path(work) / DATASET / "X.zarr")


if __name__ == "__main__":
    versions = {name: importlib.metadata.version(name) for name in ("minian", "xarray", "zarr", "numcodecs")}
    write_golden(versions, {name: saved_by_minian(case) for name, case in CASES.items() if name not in REFUSED})
