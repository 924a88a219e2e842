"""What Linux says of the mounted file systems, ``/proc/self/mountinfo``. Pure: text in, data out.

References
----------
https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mount", "find_mount"]

_NETWORK = re.compile(
    r"9p|afs|beegfs|ceph|cifs|coda|davfs|fhgfs|gfs2|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|orangefs|pvfs2|smb[23]|smbfs"
    r"|fuse\.(beegfs|ceph|cephfs|curlftpfs|davfs|gcsfuse|glusterfs|gvfsd-fuse|juicefs|rclone|s3fs|smbnetfs|sshfs)"
)
_ESCAPE = re.compile(r"\\([0-7]{3})")
_REMOTE = re.compile(r"//|[^/\s]+:/")  # //server/share, server:/export


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system: its type, where it is mounted, from what, and whether it is read-only."""

    type: str
    point: Path
    source: str
    read_only: bool

    @property
    def network(self) -> bool | None:
        """Whether it is on another computer; None where the type does not tell."""
        if _NETWORK.fullmatch(self.type) or _REMOTE.match(self.source):
            return True
        return None if self.type.startswith("fuse.") else False


def find_mount(table: str, path: Path) -> Mount | None:
    """Return the mount that an absolute path is on: the deepest one, of several at one place the last."""
    found: Mount | None = None
    for mount in _mounts(table):
        above = mount.point == path or mount.point in path.parents
        if above and (found is None or len(mount.point.parts) >= len(found.point.parts)):
            found = mount
    return found


def _mounts(table: str) -> Iterator[Mount]:
    for line in table.splitlines():
        before, separator, after = line.partition(" - ")
        fields, more = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6 or len(more) < 2:
            continue
        options = fields[5].split(",") + (more[2].split(",") if len(more) > 2 else [])
        yield Mount(more[0], Path(_plain(fields[4])), _plain(more[1]), "ro" in options)


def _plain(text: str) -> str:
    """Return a field with its blanks: they stand as ``\\040``."""
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), text)
