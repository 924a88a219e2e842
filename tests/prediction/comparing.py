"""Comparing a prediction with what the real MiniAn did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

DATASET_KINDS = ("return_dict", "merge", "merge_exact")
MF_KINDS = ("open_minian_mf",)
EXACT = ("dims", "shape", "dtype", "padded", "padded_values", "nbytes")
"""What must be right of every array where a prediction has arrays."""


def differences(prediction: dict[str, Any], observed: dict[str, Any]) -> list[str]:
    """Return one line for each kind of opening that was predicted wrongly; unknown is never wrong."""
    return [
        f"{kind}: {' | '.join(wrong)}"
        for kind, seen in observed.items()
        if (wrong := _difference(prediction[kind], seen))
    ]


def _difference(predicted: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    if predicted["status"] == "unknown":
        return []
    if (predicted["status"], predicted["error"]) != (seen["status"], seen["error"]):
        return [f"predicted {_outcome(predicted)}, observed {_outcome(seen)} {seen.get('message', '')[:200]}".strip()]
    if seen["status"] == "error" or predicted.get("arrays") is None:
        return []
    return _array_differences(predicted["arrays"], seen["arrays"])


def _outcome(outcome: dict[str, Any]) -> str:
    return outcome["error"] if outcome["status"] == "error" else outcome["status"]


def _array_differences(predicted: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    found = [f"predicted no {name}, observed one" for name in seen if name not in predicted]
    found += [f"predicted {name}, observed none" for name in predicted if name not in seen]
    for name in seen.keys() & predicted.keys():
        found += [
            f"{name}.{key}: predicted {predicted[name][key]}, observed {seen[name][key]}"
            for key in EXACT
            if predicted[name][key] != seen[name][key]
        ]
    return sorted(found)


def form_problems(prediction: dict[str, Any], kinds: Iterable[str]) -> list[str]:
    """Return what is wrong with the form of a prediction, whatever it says."""
    kinds = list(kinds)
    found = [] if sorted(prediction) == sorted(kinds) else [f"kinds {sorted(prediction)}, not {sorted(kinds)}"]
    for kind in kinds:
        one = prediction.get(kind, {})
        if one.get("status") not in ("ok", "error", "unknown"):
            found.append(f"{kind}: status {one.get('status')!r}")
        elif (one["status"] == "error") != isinstance(one.get("error"), str):
            found.append(f"{kind}: status {one['status']} with error {one.get('error')!r}")
        elif one["status"] != "ok" and not one.get("why"):
            found.append(f"{kind}: {one['status']} without why")
        elif one["status"] == "ok" and kind in ("merge", "open_minian_mf") and one.get("arrays") is None:
            found.append(f"{kind}: ok without arrays")
    return found


def count_unknown(predictions: dict[str, dict[str, Any]], kinds: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the cases predicted as unknown, by kind."""
    return {kind: [name for name, one in predictions.items() if one[kind]["status"] == "unknown"] for kind in kinds}
