"""doctor: what the file system is and can do, asked, tried and told."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import doctoring
import pytest
from conftest import tree
from doctoring import GIB, HERE, codes, fail, give_space, look, the

from minian_vc import durable
from minian_vc.doctor import examine, filesystem, probes
from minian_vc.doctor.mounts import Mount, find_mount
from minian_vc.doctor.probes import Probes, probe

lab, surroundings, template = doctoring.lab, doctoring.surroundings, doctoring.template
pytestmark = pytest.mark.usefixtures("surroundings")


# -- mounts -----------------------------------------------------------------------------------

TABLE = """\
22 28 0:21 / /proc rw,relatime - proc proc rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard,errors=remount-ro
30 28 0:40 / /mnt/lab rw shared:2 master:3 - nfs4 server:/export/lab rw,vers=4.2
31 30 8:17 / /mnt/lab/stick rw - exfat /dev/sdb1 rw
32 28 0:41 / /mnt/with\\040blank\\134 ro,relatime - fuse.sshfs anna@host:data rw
33 28 8:33 / /mnt/twice rw - ext4 /dev/sdc1 rw
34 33 8:34 / /mnt/twice rw - xfs /dev/sdd1 ro
35 28 0:50 / /mnt/fuse rw - fuse.mergerfs a:b rw
36 28 0:51 / /mnt/share rw - unheardof //server/share rw
37 28 0:52 / /mnt/other rw - unheardof host.lab:/share rw
this is no line
"""


@pytest.mark.parametrize(
    ("path", "kind", "network", "read_only"),
    [
        ("/home/anna/lab", "ext4", False, False),
        ("/mnt/lab", "nfs4", True, False),
        ("/mnt/lab/mouse1/session1", "nfs4", True, False),
        ("/mnt/laboratory", "ext4", False, False),
        ("/mnt/lab/stick/mouse1", "exfat", False, False),
        ("/mnt/with blank\\/x", "fuse.sshfs", True, True),
        ("/mnt/twice", "xfs", False, True),
        ("/mnt/fuse/x", "fuse.mergerfs", None, False),
        ("/mnt/share/x", "unheardof", True, False),
        ("/mnt/other/x", "unheardof", True, False),
    ],
)
def test_the_mount_of_a_path_is_found(path: str, kind: str, network: bool | None, read_only: bool) -> None:
    """The deepest and last one, by whole folder names, with its blanks; a network drive by its type or its source."""
    mount = find_mount(TABLE, Path(path))
    assert mount is not None
    assert (mount.type, mount.network, mount.read_only) == (kind, network, read_only)


@pytest.mark.parametrize("kind", ["nfs", "cifs", "smb3", "9p", "lustre", "beegfs", "ceph", "fuse.sshfs", "fuse.rclone"])
def test_network_drives_are_known_by_their_type(kind: str) -> None:
    """Whatever they are mounted from."""
    assert Mount(kind, Path("/"), "none", read_only=False).network is True


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "tmpfs", "vfat", "exfat", "ntfs3", "fuseblk", "overlay", "zfs"]
)
def test_local_drives_are_none(kind: str) -> None:
    """What is mounted from a device."""
    assert Mount(kind, Path("/"), "/dev/sda1", read_only=False).network is False


def test_a_table_without_the_path_or_no_table_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell, the type is not known, and the rest is."""
    assert find_mount("", tmp_path) is None
    monkeypatch.setattr(filesystem, "MOUNT_TABLE", tmp_path / "nowhere")
    diagnosis = look(tmp_path)
    assert (diagnosis.file_system.mount, diagnosis.file_system.network) == (None, None)
    assert codes(diagnosis) == []


def test_a_network_drive_is_a_warning(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of the system is read, and the mount is named."""
    filesystem.MOUNT_TABLE.write_text(f"1 0 0:40 / {lab} rw - cifs //server/lab rw\n")
    finding = the(look(lab / "s1"), "network-drive")
    assert finding.severity == "warning"
    assert f"cifs at {lab}" in finding.message


def test_a_drive_that_is_mounted_read_only_is_a_warning_and_nothing_else(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full read-only medium is no full disk."""
    filesystem.MOUNT_TABLE.write_text("1 0 7:0 / / ro - squashfs /dev/loop0 ro\n")
    give_space(monkeypatch, free=0, total=GIB)
    assert codes(look(lab)) == ["read-only-mount"]


# -- trying -----------------------------------------------------------------------------------


def test_trying_leaves_nothing_behind(tmp_path: Path) -> None:
    """On whatever the tests run on: something is told of everything, and the files are gone."""
    before = tree(tmp_path)
    tried = probe(tmp_path)
    assert tree(tmp_path) == before
    assert tried.writable
    assert tried.case_sensitive == (not (tmp_path / "MOUNTINFO").exists())
    assert None not in (tried.hard_links, tried.exchange, tried.coarse)
    assert tried.locks is True
    assert abs(tried.clock_ahead or 0.0) < filesystem.CLOCKS_APART


@pytest.mark.skipif(sys.platform != "linux", reason="reflinks are tried on Linux only")
@pytest.mark.parametrize(
    ("number", "told"), [(errno.EOPNOTSUPP, False), (errno.ENOTTY, False), (errno.ENOSPC, None), (errno.EIO, None)]
)
def test_a_reflink_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: bool | None) -> None:
    """What the system refuses is not there; what the disk cannot do just now is not known."""
    calls = []
    monkeypatch.setattr(probes.fcntl, "ioctl", lambda *given: calls.append(given))
    assert probe(tmp_path).reflink is True
    ((new, request, old),) = calls
    assert (request, new != old) == (0x40049409, True)
    monkeypatch.setattr(probes.fcntl, "ioctl", fail(number))
    assert probe(tmp_path).reflink is told


def test_links_and_exchange_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as the system answers."""
    monkeypatch.setattr(os, "link", fail(errno.EPERM))
    monkeypatch.setattr(durable, "exchange", lambda *_: False)
    tried = probe(tmp_path)
    assert (tried.hard_links, tried.exchange) == (False, False)
    monkeypatch.setattr(durable, "exchange", lambda *_: True)
    monkeypatch.setattr(os, "link", lambda *_: None)
    tried = probe(tmp_path)
    assert (tried.hard_links, tried.exchange) == (True, True)


def test_case_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is found under its name in capitals is on a drive that does not tell case."""
    real = Path.exists
    monkeypatch.setattr(
        Path, "exists", lambda self: any(real(each) for each in (self, self.with_name(self.name.lower())))
    )
    assert probe(tmp_path).case_sensitive is False
    monkeypatch.undo()
    monkeypatch.setattr(Path, "exists", lambda self: real(self) and not self.name.isupper())
    assert probe(tmp_path).case_sensitive is True


@pytest.mark.parametrize(
    ("step", "coarse"), [(100, False), (10_000_000, True), (1_000_000_000, True), (2_000_000_000, True)]
)
def test_time_stamps_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, coarse: bool) -> None:
    """NTFS keeps steps of 100 ns, exFAT of 10 ms, old ext3 whole seconds, FAT even ones."""
    real = os.utime

    def utime(path: Path, times: None = None, *, ns: tuple[int, int] | None = None) -> None:
        if ns is not None:
            real(path, ns=(ns[0] // step * step, ns[1] // step * step))

    monkeypatch.setattr(os, "utime", utime)
    assert probe(tmp_path).coarse is coarse


@pytest.mark.parametrize("apart", [-3600, 3600])
def test_the_clocks_are_compared(lab: Path, monkeypatch: pytest.MonkeyPatch, apart: int) -> None:
    """A file server whose clock is an hour off is a warning; which way is said."""
    real = probes.time.time_ns
    monkeypatch.setattr(probes.time, "time_ns", lambda: real() - apart * 10**9)
    finding = the(look(lab), "clock-skew")
    assert finding.severity == "warning"
    assert f"60 minutes {'ahead of' if apart > 0 else 'behind'}" in finding.message


@pytest.mark.parametrize(
    ("number", "code", "severity"),
    [
        (errno.EACCES, "not-writable", "warning"),
        (errno.EROFS, "read-only-mount", "warning"),
        (errno.ENOSPC, "disk-full", "error"),
        (errno.EDQUOT, "disk-full", "error"),
    ],
)
def test_where_nothing_can_be_written_the_rest_is_told(
    lab: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, severity: str
) -> None:
    """No permission, read-only, full, over quota: one finding each, and the repository is examined all the same."""
    monkeypatch.setattr(Path, "write_bytes", fail(number))
    (lab / ".minian_vc/catalog.sqlite").unlink()
    diagnosis = look(lab)
    assert the(diagnosis, code).severity == severity
    assert sorted(codes(diagnosis)) == sorted([code, "catalog-missing"])
    assert diagnosis.file_system.probes.writable is False


# -- what it means ----------------------------------------------------------------------------

GOOD = filesystem.FileSystem(
    folder=Path("/lab"),
    mount=Mount("ext4", Path("/"), "/dev/sda1", read_only=False),
    free_bytes=500 * GIB,
    total_bytes=1000 * GIB,
    reserve=64 << 20,
    probes=Probes(
        Path("/lab"),
        None,
        reflink=True,
        case_sensitive=True,
        hard_links=True,
        exchange=True,
        coarse=False,
        clock_ahead=0.1,
        locks=True,
    ),
)


def of(system: filesystem.FileSystem) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in filesystem.findings(system)]


def test_a_good_file_system_and_one_that_is_not_known_have_no_findings() -> None:
    """What could not be tried is no fault."""
    assert of(GOOD) == []
    assert of(replace(GOOD, mount=None, free_bytes=None, total_bytes=None, probes=Probes(Path("/lab")))) == []


@pytest.mark.parametrize(
    ("tried", "told"),
    [
        ({"reflink": False}, ("no-reflink", "info")),
        ({"hard_links": False}, ("no-hard-links", "info")),
        ({"exchange": False}, ("no-exchange", "info")),
        ({"locks": False}, ("locks-lie", "error")),
        ({"coarse": True}, ("coarse-time-stamps", "info")),
        ({"case_sensitive": False}, ("case-insensitive", "warning")),
        ({"clock_ahead": 301.0}, ("clock-skew", "warning")),
        ({"clock_ahead": -301.0}, ("clock-skew", "warning")),
        ({"clock_ahead": 299.0}, None),
    ],
)
def test_what_a_file_system_cannot_do_is_told(tried: dict, told: tuple[str, str] | None) -> None:
    """One finding each; what only costs time or space is information."""
    assert of(replace(GOOD, probes=replace(GOOD.probes, **tried))) == ([told] if told else [])


@pytest.mark.parametrize(
    ("free", "total", "told"),
    [
        (500 * GIB, 1000 * GIB, None),
        (50 * GIB, 1000 * GIB, None),
        (50 * GIB - 1, 1000 * GIB, ("disk-nearly-full", "warning")),
        (GIB, 10 * GIB, None),
        (GIB - 1, 10 * GIB, ("disk-nearly-full", "warning")),
        (64 << 20, 1000 * GIB, ("disk-nearly-full", "warning")),
        ((64 << 20) - 1, 1000 * GIB, ("disk-full", "error")),
        (0, 1000 * GIB, ("disk-full", "error")),
        (0, 0, None),
    ],
)
def test_free_space_has_its_limits(
    lab: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, told: tuple[str, str] | None
) -> None:
    """A warning under 1 GiB or 5 %, an error under what a commit leaves alone; a drive of no size is not known."""
    give_space(monkeypatch, free, total)
    system = examine(lab).file_system
    assert (system.free_bytes, system.total_bytes) == ((free, total) if total else (None, None))
    assert [each for each in of(system) if each[0].startswith("disk")] == ([told] if told else [])


def test_a_disk_that_does_not_say_its_size_is_examined(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network drives."""
    monkeypatch.setattr(shutil, "disk_usage", fail(errno.ENOSYS))
    diagnosis = look(lab)
    assert codes(diagnosis) == []
    assert diagnosis.file_system.free_bytes is None


# -- real disks -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def can_mount() -> None:
    """Skip where the system lets nobody mount in a namespace of their own."""
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"]
    if shutil.which("unshare") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs Linux user namespaces to mount a small disk")


ON_A_SMALL_DISK = """
import contextlib, json, subprocess, sys
from pathlib import Path
from minian_vc import Repository
from minian_vc.doctor import examine

place = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
Repository.create(place)
told = []

def look():
    system = (diagnosis := examine(place)).file_system
    found = [each.code for each in diagnosis.all_findings if each.severity != "info" and "package" not in each.code]
    probes = system.probes
    told.append([system.mount.type, str(system.mount.point), system.total_bytes, probes.reflink, probes.hard_links])
    told.append([each for each in found if not each.endswith("-pair")])

def files():
    return {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file()}

before = files()
look()
with contextlib.suppress(OSError), (place / "big").open("wb", buffering=0) as big:
    while True:
        big.write(bytes(1024))
filled = files()
look()
assert files() == filled
(place / "big").unlink()
subprocess.run(["mount", "-o", "remount,ro", place], check=True)
look()
assert files() == before
print(json.dumps(told))
"""


@pytest.mark.usefixtures("can_mount")
def test_a_small_a_full_and_a_read_only_disk(tmp_path: Path) -> None:
    """A real one: first little room, then none, then nothing that can be written; the files stay as they are."""
    (tmp_path / "disk").mkdir()
    command = ["unshare", "-Urm", sys.executable, "-c", ON_A_SMALL_DISK, tmp_path / "disk"]
    environ = os.environ | {"PYTHONPATH": str(HERE)}
    done = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    small, *rest = json.loads(done.stdout)
    assert small == ["tmpfs", str(tmp_path / "disk"), 8 << 20, False, True]
    assert rest[0::2] == [["disk-nearly-full"], ["disk-full"], ["read-only-mount"]]
