"""Give commands on a small disk of its own with less and less room, and on a read-only one. Run by test_full_disk.py
as root of a user namespace; prints what came of each command as JSON lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from forking import in_child
from judging import expect, judge
from scenarios import CATALOG, DATASET, SCENARIOS, contents

import minian_vc as mvc
from minian_vc import durable
from minian_vc.errors import MinianVCError

SIZE = 2 << 20
STEP = 48 << 10


def main(disk: str, name: str, reserve: str) -> None:
    """Mount a disk per case: the past is made, all but a little room taken, and the command given."""
    durable.reserve = lambda _: 0  # else it is refused before anything is written
    scenario, root = SCENARIOS[name], Path(disk) / "lab"
    work = Path(disk).with_name("work")
    (work / "base").mkdir(parents=True)
    expected = in_child(lambda tell: tell(expect(scenario, work / "base", work))).told[0]
    for room in range(0, 8 * STEP, STEP):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", disk], check=True)
        subprocess.run(["cp", "-a", str(work / "base"), str(root)], check=True)
        if reserve != "held":
            (root / ".minian_vc/reserve").unlink()

        def act(tell: object, room: int = room) -> None:
            (Path(disk) / "ballast").write_bytes(bytes(max(0, _free(disk) - room)))
            try:
                scenario.act(root)
                tell("acknowledged")
            except MinianVCError as error:
                tell(str(error))

        ended = in_child(act)
        (Path(disk) / "ballast").unlink(missing_ok=True)
        acknowledged = ended.told == ("acknowledged",)
        ended_well = in_child(lambda _, done=acknowledged: judge(root, expected, acknowledged=done))
        refused = "" if acknowledged or not ended.told else ended.told[0]
        print(json.dumps({"refused": refused, "wrong": ended.error or ended_well.error}), flush=True)
        subprocess.run(["umount", disk], check=True)
    print(json.dumps(read_only(disk, work / "base", scenario.act)))


def read_only(disk: str, base: Path, act: object) -> dict:
    """Look at a repository on a read-only disk, and give the command there."""
    subprocess.run(["mount", "--bind", str(base), disk], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
    root = Path(disk)

    def look(tell: object) -> None:
        dataset = mvc.open(root / DATASET)
        tell([sorted(dataset.open(entry.id, return_dict=True)) for entry in dataset.history()])
        try:
            act(root)
        except MinianVCError as error:
            tell(str(error))

    before = contents(base / DATASET), (base / CATALOG).read_bytes()
    ended = in_child(look)
    same = (contents(base / DATASET), (base / CATALOG).read_bytes()) == before
    return {"read-only": ended.told, "wrong": ended.error or ("" if same else "something was written")}


def _free(disk: str) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


if __name__ == "__main__":
    main(*sys.argv[1:])
