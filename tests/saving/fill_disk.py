"""Save on a small disk of its own that is nearly full, with less and less room. Run by test_save_full_disk.py as root
of a user namespace; prints what came of each save as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import xarray as xr
from save_cases import files

from minian_vc.errors import StorageError
from minian_vc.staging import SAVING
from minian_vc.verbs.save import save_minian

SIZE = 2 << 20
STEP = 96 << 10


def array(seed: int) -> xr.DataArray:
    """Half a megabyte that cannot be compressed, in eight chunks."""
    values = np.random.default_rng(seed).integers(0, 256, (8, 64 << 10), dtype="u1")
    return xr.DataArray(da.from_array(values, (1, -1)), {"unit_id": range(8)}, ("unit_id", "frame"), "X")


def main(disk: str, options: str) -> None:
    """Mount, save the old version, then save the new one with ever more room left."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", disk], check=True)
    root, how = Path(disk), json.loads(options)
    new = array(2)
    save_minian(new, root / "minian", **how)
    whole = files(root / "minian")
    save_minian(array(1), root / "minian", overwrite=True, **how)
    old, seen = files(root / "minian"), []
    for room in range(0, SIZE // 2 + SIZE // 4, STEP):
        (root / "ballast").write_bytes(bytes(max(0, free(root) - room)))
        raised = ""
        with ThreadPoolExecutor(2) as pool, dask.config.set(pool=pool):  # at the end no thread writes any more
            try:
                save_minian(new, root / "minian", overwrite=True, **how)
            except StorageError as error:
                raised = f"{error.message} {error.hint}"
        now = files(root / "minian")
        state = "old" if now == old else "new" if now == whole else "neither"
        (root / "ballast").unlink()
        save_minian(array(1), root / "minian", overwrite=True, **how)
        seen.append({"state": state, "raised": raised, "left": (root / SAVING).exists()})
    print(json.dumps(seen))


def free(root: Path) -> int:
    """Return the bytes that can still be written."""
    found = os.statvfs(root)
    return found.f_bavail * found.f_frsize


if __name__ == "__main__":
    main(*sys.argv[1:])
