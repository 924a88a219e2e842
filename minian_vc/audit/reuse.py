"""The rule about an intermediate folder that a second recording writes into."""

from __future__ import annotations

from collections.abc import Iterator

from minian_vc.audit.model import Judged, Rule, judged, listed
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.model import ArrayVersion

__all__ = ["RULES"]

DIMS = ("frame", "height", "width")


def reused_folder(dataset: DatasetFacts) -> Iterator[Judged]:
    """What was saved since the latest checkpoint is of another recording: frames, picture or session are others."""
    recorded = {array.name: array for array in dataset.history.latest} if dataset.history else {}
    pairs = [(a, recorded[a.name]) for a in dataset.readable if a.name in recorded]
    rewritten = [(a, old) for a, old in pairs if a.manifest != old.manifest]
    changes = {array.name: change for array, old in rewritten if (change := _changes(array, old)) is not None}
    if not changes or not all(changes.values()):
        return
    what = "; ".join(f"{name}: {change}" for name, change in list(changes.items())[:3])
    yield judged(
        "folder-reused",
        "error",
        f"All that was saved since the latest checkpoint ({listed(changes)}) is of another recording, or of another "
        f"crop of it ({what}): the notebook's intermediate folder is the same for all.",
        changes,
        fix="Give each recording its own intermediate folder; bring the old one back: minian-vc restore @latest",
        grade="contradictory",
    )


RULES: tuple[Rule, ...] = (reused_folder,)


def _changes(array: ArrayFacts, old: ArrayVersion) -> str | None:
    """Say in which of frames, picture and session an array is another than its last recorded version.

    None where it cannot tell: it has neither frames nor a session, and its picture is as large as before.
    """
    now = array.variable.sizes if array.variable else {}
    before = dict(zip(old.dims, old.shape, strict=True))
    shared = [dim for dim in DIMS if dim in before and dim in now]
    found = [f"{dim} {before[dim]} → {now[dim]}" for dim in shared if before[dim] != now[dim]]
    known = "frame" in shared
    for name, was in (("session", old.session), ("animal", old.animal)):
        text = array.text(name)
        if was is not None and text is not None:
            known = True
            found += [f"{name} {was} → {text}"] if text != was else []
    return ", ".join(found) if found or known else None
