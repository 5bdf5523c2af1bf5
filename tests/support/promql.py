"""PromQL taken apart: which metrics an expression asks for, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser


def nodes(expression: str) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every node of an expression, with those that it is in, the outermost first. Raises ValueError for no PromQL."""
    yield from _below((), promql_parser.parse(expression))


def metric_names(expression: str) -> set[str]:
    """The names of the metrics in it."""
    return {node.name for _, node in nodes(expression) if isinstance(node, promql_parser.VectorSelector) and node.name}


def _below(parents: tuple[Any, ...], node: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield parents, node
    inside = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for child in (*inside, *(getattr(node, "args", None) or ())):
        if child is not None:
            yield from _below((*parents, node), child)
