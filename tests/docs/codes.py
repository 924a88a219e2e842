"""Reading from the source which findings it can make: the arguments of each ``judged(…)`` and ``Finding(…)``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from minian_vc.audit.coordinates import RECORDING

SEVERITIES = frozenset({"info", "warning", "error"})
_CODE = re.compile("[a-z]+(-[a-z0-9]+)+")


class Source:
    """A module's source. What is assigned to a name anywhere in it counts as what the name may be."""

    def __init__(self, path: Path) -> None:
        self._tree = ast.parse(path.read_text(encoding="utf-8"))
        self._values: dict[str, list[ast.expr]] = {}
        for targets, value in map(_assignment, ast.walk(self._tree)):
            for target in targets:
                self._values.setdefault(target, []).append(value)

    def findings(self) -> Iterator[tuple[set[str], set[str]]]:
        """Yield the codes and the severities that each call may give a finding."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("judged", "Finding"):
                code, *rest = node.args[:2]
                severities = {text for each in rest for text in self._texts(each)} & SEVERITIES
                if isinstance(code, ast.Constant):
                    yield {str(code.value)}, severities
                else:
                    yield {text for text in self._texts(code) if _CODE.fullmatch(text)}, severities

    def _texts(self, expression: ast.AST, seen: frozenset[str] = frozenset()) -> Iterator[str]:
        if isinstance(expression, ast.Constant):
            yield str(expression.value)
        elif isinstance(expression, ast.JoinedStr):  # f"{name}s-mixed"
            form = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in expression.values)
            yield from map(form.format, RECORDING)
        elif isinstance(expression, ast.Name):
            for value in self._values.get(expression.id, ()) if expression.id not in seen else ():
                yield from self._texts(value, seen | {expression.id})
        else:
            for part in ast.iter_child_nodes(expression):
                yield from self._texts(part, seen)


def _assignment(node: ast.AST) -> tuple[list[str], ast.expr]:
    """Return the names that a statement assigns to, and what."""
    if isinstance(node, ast.For):
        targets, value = [node.target], node.iter
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets, value = [node.target], node.value
    elif isinstance(node, ast.Assign):
        targets, value = node.targets, node.value
    else:
        return [], ast.Constant(None)
    return [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)], value
