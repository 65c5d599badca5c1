"""Which items and namespaces LangGraph's operations ask for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langgraph.store.base import ListNamespacesOp, MatchCondition

from memory.errors import InvalidInputError

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, wanted: value == wanted,
    "$ne": lambda value, wanted: value != wanted,
    "$gt": lambda value, wanted: float(value) > float(wanted),
    "$gte": lambda value, wanted: float(value) >= float(wanted),
    "$lt": lambda value, wanted: float(value) < float(wanted),
    "$lte": lambda value, wanted: float(value) <= float(wanted),
}


def matches(value: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Whether an item's value passes a filter.

    Raises:
        InvalidInputError: the filter has an operator that there is not.
    """
    return all(_fits(value.get(name), one) for name, one in (wanted or {}).items())


def asked_namespaces(
    operation: ListNamespacesOp, namespaces: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """The namespaces that an operation lists, sorted."""
    conditions = operation.match_conditions or ()
    found = {
        one[: operation.max_depth]
        for one in namespaces
        if all(_is_under(condition, one) for condition in conditions)
    }
    return sorted(found)[operation.offset : operation.offset + operation.limit]


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        inner = cast("dict[str, Any]", wanted)
        if any(name.startswith("$") for name in inner):
            return all(_compares(value, name, one) for name, one in inner.items())
        return isinstance(value, dict) and matches(cast("dict[str, Any]", value), inner)
    return bool(value == wanted)


def _compares(value: Any, operator: str, wanted: Any) -> bool:
    if operator not in _OPERATORS:
        known = ", ".join(_OPERATORS)
        raise InvalidInputError(f"No operator {operator!r} in a filter; there are: {known}.")
    try:
        return _OPERATORS[operator](value, wanted)
    except (TypeError, ValueError):
        return False  # what is no number is neither more nor less


def _is_under(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    size = len(path)
    part = namespace[:size] if condition.match_type == "prefix" else namespace[-size:]
    return all(wanted in {"*", one} for one, wanted in zip(part, path, strict=size > 0))
