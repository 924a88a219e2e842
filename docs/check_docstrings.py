"""Check the docstrings of the public API against numpydoc's rules. Run: python docs/check_docstrings.py"""

import importlib
import inspect
import sys
from collections.abc import Iterator

from numpydoc.validate import validate

PUBLIC = (
    "minian_vc.arrays.rechunking",
    "minian_vc.chunk_specs",
    "minian_vc.dataset",
    "minian_vc.doctor",
    "minian_vc.errors",
    "minian_vc.findings",
    "minian_vc.model",
    "minian_vc.prediction.outcome",
    "minian_vc.rechunk_plan",
    "minian_vc.repository",
    "minian_vc.verbs.check",
    "minian_vc.verbs.open_minian",
    "minian_vc.verbs.prune",
    "minian_vc.verbs.report",
    "minian_vc.verbs.resume",
    "minian_vc.verbs.save",
)
IGNORED = {
    "ES01",  # no extended summary
    "EX01",  # no examples: the README and the tutorial have them, and are run
    "GL08",  # no docstring: ruff's affair for private names
    "PR01",  # parameters not documented: those whose names and types say all
    "RT01",
    "SA01",
    "YD01",
    "SS06",
    "RT03",
    "PR02",
}


def public_objects() -> Iterator[str]:
    """Yield dotted names of the public classes, functions and methods."""
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            item = getattr(module, name)
            if getattr(item, "__module__", None) != module_name:
                continue
            yield f"{module_name}.{name}"
            if inspect.isclass(item):
                methods = (n for n, m in vars(item).items() if not n.startswith("_") and callable(getattr(item, n)))
                yield from (f"{module_name}.{name}.{method}" for method in methods)


def main() -> int:
    """Print each fault; return the exit code."""
    faults, count = [], 0
    for name in public_objects():
        count += 1
        found = validate(name)
        if not found["docstring"]:
            faults.append(f"{name}: has no docstring")
        faults += [f"{name}: {code} {text}" for code, text in found["errors"] if code not in IGNORED]
    print("\n".join(faults) or f"{count} public docstrings follow numpydoc.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
