"""Filters over metadata, documents and items: fields with values, or with operators of MongoDB.

`{"n": 1}`, `{"n": {"$gte": 1, "$lt": 9}}`, `{"$or": [{"city": {"$in": ["Rome"]}}, {"at": {"$gt":
"2026-01-01"}}]}`. A filter is checked as a whole before the first comparison: what it cannot
express
is refused by name. A value that lacks a field, or has another type there, does not match. A list
matches if one of its items does. A dotted name (`a.b`) is a field of an inner object.

Dates are `date` or `datetime` objects, or ISO 8601 text with or without an offset; without one they
are UTC, and a day begins at midnight. Two texts that are not dates are ordered as numbers if
both are
numbers, else by character. `true` is not `1`, and `"1"` is not `1`, but is ordered like it.
"""

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeAlias, cast

from onionskin.memory.errors import InvalidInputError

Test: TypeAlias = Callable[[Any], bool]
"""Whether a value matches; a missing one is `MISSING`."""
Fields: TypeAlias = Mapping[str, Any]
MISSING = object()
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_LOGICAL = ("$and", "$or", "$not")
_MOST_CONDITIONS, _DEEPEST = 100, 8
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")


def compile_filter(condition: Any) -> Callable[[Fields], bool]:
    """A predicate on fields, made once for many of them.

    Raises:
        InvalidInputError: The filter has an unknown operator, or an operand that does not fit.
    """
    return _Compiler().compile(condition)


class _Compiler:
    """Compiles one filter, and counts its conditions."""

    def __init__(self) -> None:
        self._count = 0

    def compile(self, condition: Any, depth: int = 0) -> Callable[[Fields], bool]:
        if not isinstance(condition, Mapping):
            raise InvalidInputError(
                f"A filter is a mapping of fields to values, not {condition!r}."
            )
        if depth > _DEEPEST:
            raise InvalidInputError(f"A filter may be nested {_DEEPEST} levels deep.")
        tests: list[Callable[[Fields], bool]] = []
        for name, wanted in cast("Mapping[Any, Any]", condition).items():
            self._count += 1
            if self._count > _MOST_CONDITIONS:
                raise InvalidInputError(f"A filter may have {_MOST_CONDITIONS} conditions.")
            if not isinstance(name, str):
                raise InvalidInputError(f"A filter names its fields by text, not {name!r}.")
            is_logical = name.startswith("$")
            make = self._logical if is_logical else self._field
            tests.append(make(name, wanted, depth + 1))
        return lambda fields: all(test(fields) for test in tests)

    def _logical(self, name: str, operand: Any, depth: int) -> Callable[[Fields], bool]:
        if name not in _LOGICAL:
            raise _unknown(name, _LOGICAL)
        if name == "$not":
            inner = self.compile(operand, depth)
            return lambda fields: not inner(fields)
        if not isinstance(operand, list | tuple) or not operand:
            raise InvalidInputError(f"{name!r} in a filter takes a list of filters: {operand!r}.")
        parts = [self.compile(part, depth) for part in cast("list[Any]", operand)]
        combine = all if name == "$and" else any
        return lambda fields: combine(part(fields) for part in parts)

    def _field(self, name: str, wanted: Any, depth: int) -> Callable[[Fields], bool]:
        test = self._value(wanted, depth)
        return lambda fields: test(_value_of(fields, name))

    def _value(self, wanted: Any, depth: int) -> Test:
        """The test for one field: operators, fields of an inner mapping, or a value."""
        if not isinstance(wanted, Mapping):
            return _equals(wanted)
        inner = cast("Mapping[Any, Any]", wanted)
        if any(isinstance(name, str) and name.startswith("$") for name in inner):
            tests = [_operator(name, operand) for name, operand in inner.items()]
            return lambda value: all(test(value) for test in tests)
        matches = self.compile(inner, depth)
        return lambda value: isinstance(value, Mapping) and matches(cast("Fields", value))


def _value_of(fields: Fields, name: str) -> Any:
    if name in fields:
        return fields[name]
    head, dot, rest = name.partition(".")
    inner = fields.get(head)
    if not dot or not isinstance(inner, Mapping):
        return MISSING
    return _value_of(cast("Fields", inner), rest)


def _operator(name: Any, operand: Any) -> Test:
    match name:
        case "$eq":
            return _equals(operand)
        case "$ne":
            equals = _equals(operand)
            return lambda value: not equals(value)
        case "$in":
            return _is_in(name, operand)
        case "$nin":
            is_in = _is_in(name, operand)
            return lambda value: not is_in(value)
        case "$exists":
            if not isinstance(operand, bool):
                raise InvalidInputError(f"'$exists' takes true or false, not {operand!r}.")
            return lambda value: (value is not MISSING) is operand
        case _ if name in _ORDERS:
            return _ordered(name, operand)
        case _:
            raise _unknown(name, ("$eq", "$ne", *_ORDERS, "$in", "$nin", "$exists"))


def _equals(wanted: Any) -> Test:
    return lambda value: any(
        _same(option, wanted) for option in _options(None if value is MISSING else value)
    )


def _options(value: Any) -> list[Any]:
    """The value, and the items of a list."""
    items = cast("list[Any]", value if isinstance(value, list | tuple) else [])
    return [value, *items]


def _is_in(name: str, operand: Any) -> Test:
    """Whether a value is one of several."""
    if isinstance(operand, str | bytes | Mapping) or not isinstance(operand, Collection):
        raise InvalidInputError(f"{name!r} in a filter takes a list of values, not {operand!r}.")
    tests = [_equals(one) for one in cast("Collection[Any]", operand)]

    return lambda value: any(test(value) for test in tests)


def _ordered(name: str, operand: Any) -> Test:
    compare = _ORDERS[name]
    is_number = isinstance(operand, int | float) and not isinstance(operand, bool)
    if isinstance(operand, date | str) or (is_number and not math.isnan(operand)):
        return lambda value: any(
            compare(*pair) for option in _options(value) for pair in _comparable(option, operand)
        )
    raise InvalidInputError(f"{name!r} in a filter compares numbers, texts and dates: {operand!r}.")


def _comparable(value: Any, wanted: Any) -> list[tuple[Any, Any]]:
    """Both as values of one ordered type; empty if there is no such type."""
    moments = _moment(value), _moment(wanted)
    if all(moments):
        return [moments]
    if any(moments):
        return []
    numbers = _number(value), _number(wanted)
    if None not in numbers:
        return [numbers]
    return [(value, wanted)] if isinstance(value, str) and isinstance(wanted, str) else []


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) and not math.isnan(value) else None


def _same(value: Any, wanted: Any) -> bool:
    """Equality of JSON values: true is not 1; a date object equals its text."""
    if isinstance(wanted, date):
        return (moment := _moment(value)) is not None and moment == _moment(wanted)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(wanted, list | tuple) and isinstance(value, list | tuple):
        pair = cast("tuple[list[Any], list[Any]]", (value, wanted))
        return len(pair[0]) == len(pair[1]) and all(map(_same, *pair))
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        known, other = cast("tuple[Fields, Fields]", (value, wanted))
        return known.keys() == other.keys() and all(_same(known[k], other[k]) for k in known)
    return bool(value == wanted)


def _unknown(name: Any, known: Collection[str]) -> InvalidInputError:
    return InvalidInputError(
        f"Unknown operator {name!r} in a filter; use {', '.join(known)}"
        + ("." if name not in _LOGICAL else ", or put it around the whole filter.")
    )
