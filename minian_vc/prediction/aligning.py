"""Alignment: bringing bundles onto the same labels, as ``xarray.align`` does."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Literal

from minian_vc.prediction.labels import Labels
from minian_vc.prediction.model import Bundle, Fails, Variable

__all__ = ["Join", "align"]

Join = Literal["outer", "exact"]


def align(bundles: Sequence[Bundle], join: Join, exclude: frozenset[str] = frozenset()) -> list[Bundle]:
    """Align bundles along all dimensions but the excluded ones.

    Raises
    ------
    Fails
        ``AlignmentError`` where sizes or (``exact``) labels differ, ``ValueError`` where labels occur twice and
        would have to be looked up.
    """
    if len(bundles) == 1:
        return list(bundles)
    indexes, bare = _collect(bundles, exclude)
    joined: dict[str, Labels] = {}
    moved: set[str] = set()
    for dim, found in indexes.items():
        joined[dim] = found[0]
        if len(found) > 1 and _must_be_joined(found, bare.get(dim, set())):
            if join == "exact":
                raise Fails("AlignmentError", f"the labels or sizes along {dim} are not the same in all")
            joined[dim] = _joined(dim, found)
            moved.add(dim)
    for dim, sizes in bare.items():
        if len(sizes | ({len(joined[dim])} if dim in joined else set())) > 1:
            raise Fails("AlignmentError", f"{dim} has no labels in some, and another size there")
    if join == "exact":
        return list(bundles)
    return [_conformed(bundle, joined, moved) for bundle in bundles]


def _collect(bundles: Sequence[Bundle], exclude: frozenset[str]) -> tuple[dict[str, list[Labels]], dict[str, set[int]]]:
    """Return all labels by dimension, and the sizes of dimensions in bundles where they have no labels."""
    indexes: dict[str, list[Labels]] = {}
    bare: dict[str, set[int]] = {}
    for bundle in bundles:
        for dim, labels in bundle.indexes.items():
            if dim not in exclude:
                indexes.setdefault(dim, []).append(labels)
        for dim, size in bundle.sizes.items():
            if dim not in exclude and dim not in bundle.indexes:
                bare.setdefault(dim, set()).add(size)
    return indexes, bare


def _must_be_joined(found: Sequence[Labels], bare_sizes: set[int]) -> bool:
    return not all(found[0].equal(other) for other in found[1:]) or bool(bare_sizes - {len(found[0])})


def _joined(dim: str, found: Sequence[Labels]) -> Labels:
    try:
        return functools.reduce(Labels.joined, found)
    except (TypeError, ValueError) as error:
        raise Fails(type(error).__name__, f"the labels along {dim} have no common type") from None


def _conformed(bundle: Bundle, joined: Mapping[str, Labels], moved: set[str]) -> Bundle:
    """Return a bundle on the joined labels; a dimension without labels takes them over."""
    new = {dim: joined[dim] for dim in joined if dim in bundle.sizes}
    if moved.isdisjoint(new) and new.keys() <= bundle.indexes.keys():
        return bundle
    positions = {}
    for dim in new:
        if dim in moved and dim in bundle.indexes:
            if not bundle.indexes[dim].are_unique:
                raise Fails("ValueError", f"{dim} has labels that occur twice, and must be looked up")
            positions[dim] = bundle.indexes[dim].positions_of(new[dim])
    index_variables = {dim: _index_variable(dim, labels) for dim, labels in new.items()}
    if positions:  # xarray puts the indexes first, then the rest
        rest = {k: v.reindexed(positions) for k, v in bundle.variables.items() if k not in index_variables}
        variables = {**index_variables, **rest}
    else:
        adopted = {k: v for k, v in index_variables.items() if k not in bundle.indexes}
        variables = {**bundle.variables, **adopted}
    return Bundle(variables, bundle.coordinates | frozenset(new), {**bundle.indexes, **new})


def _index_variable(dim: str, labels: Labels) -> Variable:
    return Variable((dim,), (len(labels),), labels.dtype, labels.values())
