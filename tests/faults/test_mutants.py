"""The test of the test: a product with a step too few, or two in the wrong order, does not pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driving import NEEDS_LINUX, drive
from mutants import MUTANTS

pytestmark = NEEDS_LINUX


@pytest.mark.many
def test_each_wrong_order_is_noticed(record_property: Callable[[str, object], None]) -> None:
    """A kill at one of its steps, or a power cut, shows each mutant. That operations never replace each other is held
    by tests/unit/test_operations.py.
    """
    seen = drive("mutants", list(MUTANTS), 1)
    assert [case["scenario"] for case in seen if not case["missed"]] == []
    assert len(seen) == len(MUTANTS)
    record_property("faults", f"mutants in the order of writes: {len(seen)}, all noticed")
