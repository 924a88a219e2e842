"""Where the disk refuses, a command says so and leaves the old state or the new; the same command succeeds later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from driving import GROUPS, NEEDS_LINUX, drive, share, told, wrong
from scenarios import SCENARIOS

pytestmark = NEEDS_LINUX


def is_repeatable(name: str) -> bool:
    """Tell whether a command may be given again: a second undo takes back one more."""
    return SCENARIOS[name].repeatable


@pytest.mark.counted
@pytest.mark.parametrize("group", GROUPS)
def test_an_error_of_the_disk_at_any_step(group: str, record_property: Callable[[str, object], None]) -> None:
    """A full disk, a quota, no permission, read-only, an I/O error, once or from then on, or writes that are short: one
    of our own errors with a hint, or success; nothing is broken. ``MINIAN_VC_FAULTS`` says how many in all groups.
    """
    seen = drive("errors", GROUPS[group], share("MINIAN_VC_FAULTS", 100, group))
    assert not wrong(seen), told(seen)
    kinds = Counter(case["refused"].partition(":")[0] for case in seen)
    assert sum(kinds.values()) - kinds[""] > len(seen) * 0.25
    record_property("faults", f"errors injected into {group}: {len(seen)} ({kinds['']} did no harm); 0 wrong")


@pytest.mark.counted
@pytest.mark.parametrize("group", [name for name, group in GROUPS.items() if any(map(is_repeatable, group))])
def test_what_died_is_not_taken_for_durable(group: str, record_property: Callable[[str, object], None]) -> None:
    """A flush fails, or the process dies; the same command is given again and acknowledged; then the power goes. It is
    all there: no second flush of the same bytes is taken as success, and what lies there was flushed.
    ``MINIAN_VC_AGAIN`` says how many in all groups.
    """
    seen = drive("again", GROUPS[group], share("MINIAN_VC_AGAIN", 100, group))
    assert seen
    assert not wrong(seen), told(seen)
    record_property("faults", f"failed or died, given again, then a power cut, {group}: {len(seen)}; 0 lost")
