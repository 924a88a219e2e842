"""What du says of a repository, against the files themselves."""

from __future__ import annotations

from pathlib import Path

from pruning import messages, notebook, objects, record, save

import minian_vc as mvc
from minian_vc.verbs.du import usage


def stored(root: Path) -> int:
    """Bytes of all manifests and chunk objects on the disk."""
    files = [path for kind in ("manifests", "chunks") for path in (root / ".minian_vc/objects" / kind).rglob("*")]
    return sum(path.stat().st_size for path in files if path.is_file())


def test_all_that_is_stored_is_counted(root: Path) -> None:
    """Once for each that needs it; what no checkpoint needs is told apart."""
    notebook(root)
    found = usage(mvc.Repository.open(root))
    assert (found.stored_bytes, found.waiting_bytes) == (stored(root), 0)
    (dataset,) = found.datasets
    assert (dataset.dataset, dataset.bytes, dataset.alone_bytes) == ("m", stored(root), stored(root))
    assert [each.array for each in found.arrays] == ["A", "C"]
    assert sum(each.bytes for each in found.arrays) >= stored(root)  # they share a coordinate
    assert sum(each.alone_bytes for each in found.arrays) <= stored(root)


def test_what_a_checkpoint_holds_alone_is_what_a_prune_of_it_frees(root: Path) -> None:
    """Each of the automatic ones has a row of C of its own, and its manifest."""
    dataset = notebook(root)
    alone = {each.checkpoint.message: each.alone_bytes for each in usage(dataset.repository).checkpoints}
    assert set(alone) == set(messages(dataset))
    done = dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert done.freed_bytes == alone["auto 1"] + alone["auto 3"] > 0


def test_what_two_datasets_share_is_alone_in_neither(root: Path) -> None:
    """The same arrays committed in two datasets are stored once."""
    for name in ("one", "two"):
        save(root / name, "C", 1, 2)
        record(mvc.open(root / name), "C")
    found = usage(mvc.Repository.open(root))
    assert [(each.bytes, each.alone_bytes) for each in found.datasets] == [(stored(root), 0)] * 2


def test_what_is_pruned_waits(root: Path) -> None:
    """It is needed by no checkpoint, and counted as such."""
    dataset = notebook(root)
    done = dataset.prune(automatic=True, dry_run=False)
    assert usage(dataset.repository).waiting_bytes == done.waiting_bytes > 0
    assert len(objects(root, "manifests")) == 7
