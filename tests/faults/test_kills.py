"""A command that is killed, at any of its steps or at any moment, leaves the old state or the new one, whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driving import GROUPS, NEEDS_LINUX, drive, share, told, wrong
from scenarios import SCENARIOS

pytestmark = NEEDS_LINUX


def test_each_scenario_is_in_one_group() -> None:
    """None is forgotten."""
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(SCENARIOS)


@pytest.mark.counted
@pytest.mark.parametrize("group", ["commit", "restore", "prune and tag", "undo"])
def test_ctrl_c_parts_nothing(group: str, record_property: Callable[[str, object], None]) -> None:
    """What a command changed in the folder is recorded, or it changed nothing. ``MINIAN_VC_KILLS`` says how often."""
    seen = drive("interrupts", GROUPS[group], share("MINIAN_VC_KILLS", 200, group) // 4)
    assert not wrong(seen), told(seen)
    acknowledged = sum(case["acknowledged"] for case in seen)
    assert acknowledged < len(seen)
    record_property("faults", f"Ctrl-C in {group}: {len(seen)}; nothing changed that was not recorded")


@pytest.mark.counted
@pytest.mark.parametrize("group", GROUPS)
def test_nothing_is_lost_by_a_kill(group: str, record_property: Callable[[str, object], None]) -> None:
    """What was acknowledged is there, what was not is whole or absent; all of it opens, and the command succeeds
    when it is given again. ``MINIAN_VC_KILLS`` says how many kills there are in all groups together.
    """
    seen = drive("kills", GROUPS[group], share("MINIAN_VC_KILLS", 60, group))
    assert not wrong(seen), told(seen)
    killed, acknowledged = (sum(case[what] for case in seen) for what in ("killed", "acknowledged"))
    assert killed > len(seen) * 0.6
    record_property("faults", f"kills of {group}: {killed} ({acknowledged} were done before); 0 lost, 0 half there")
