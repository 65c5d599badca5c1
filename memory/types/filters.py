"""Filters over metadata: equality, and the operators of MongoDB that stores of LangChain share."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

from onionskin.memory.errors import InvalidInputError

Condition: TypeAlias = Callable[[Any], bool]
"""Whether a value passes; `MISSING` is the value of an absent field."""
MISSING = object()
_MOST_CONDITIONS, _DEEPEST = 100, 8


def compile_filter(wanted: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate over metadata, from a filter such as `{"topic": "dogs", "year": {"$gt": 2020}}`.

    A field equals a plain value, or fulfils all of its operators: `$eq`, `$ne`, `$gt`, `$gte`,
    `$lt`, `$lte`, `$in`, `$nin`, `$exists`. A list also passes if one of its items does. ISO dates
    compare as points in time. `$and`, `$or` and `$not` combine filters. A dotted name (`a.b`) is a
    field of an inner object.

    Raises:
        InvalidInputError: An operator is unknown, or its value does not fit; the message names it.
    """
    return _compile(wanted, [0], 0)


def _compile(wanted: Any, count: list[int], depth: int) -> Callable[[Mapping[str, Any]], bool]:
    if not isinstance(wanted, Mapping):
        raise InvalidInputError(f"{wanted!r} is not a filter: write an object of conditions.")
    if depth > _DEEPEST:
        raise InvalidInputError(f"A filter may be nested {_DEEPEST} levels deep.")
    tests: list[Callable[[Mapping[str, Any]], bool]] = []
    for name, value in cast("Mapping[str, Any]", wanted).items():
        count[0] += 1
        if count[0] > _MOST_CONDITIONS:
            raise InvalidInputError(f"A filter may have {_MOST_CONDITIONS} conditions.")
        if name.startswith("$"):
            tests.append(_combined(name, value, count, depth))
        else:
            tests.append(_field_test(name, _condition(value)))
    return lambda metadata: all(test(metadata) for test in tests)


def _combined(
    operator: str, value: Any, count: list[int], depth: int
) -> Callable[[Mapping[str, Any]], bool]:
    if operator == "$not":
        inner = _compile(value, count, depth + 1)
        return lambda metadata: not inner(metadata)
    if operator not in {"$and", "$or"}:
        raise InvalidInputError(
            f"Unknown operator {operator!r} in a filter; filters are combined with $and, $or, $not."
        )
    if not isinstance(value, list) or not value:
        raise InvalidInputError(f"{operator} needs a list of filters.")
    filters = [_compile(each, count, depth + 1) for each in cast("list[Any]", value)]
    fold = all if operator == "$and" else any
    return lambda metadata: fold(each(metadata) for each in filters)


def _field_test(name: str, condition: Condition) -> Callable[[Mapping[str, Any]], bool]:
    return lambda metadata: condition(_value(metadata, name))


def _value(metadata: Mapping[str, Any], name: str) -> Any:
    if name in metadata:
        return metadata[name]
    head, dot, rest = name.partition(".")
    inner = metadata.get(head)
    return _value(cast("Mapping[str, Any]", inner), rest) if dot and _is_object(inner) else MISSING


def _condition(wanted: Any) -> Condition:
    if not _is_object(wanted):
        return _operator("$eq", wanted)
    operators = cast("Mapping[str, Any]", wanted)
    if not any(name.startswith("$") for name in operators):
        return _operator("$eq", wanted)
    conditions = [_operator(name, value) for name, value in operators.items()]
    return lambda value: all(condition(value) for condition in conditions)


def _operator(name: str, wanted: Any) -> Condition:
    match name:
        case "$eq":
            return lambda value: _equals(value, wanted)
        case "$ne":
            return lambda value: not _equals(value, wanted)
        case "$in" | "$nin":
            if not isinstance(wanted, list):
                raise InvalidInputError(f"{name} needs a list, not {wanted!r}.")
            choices, negated = cast("list[Any]", wanted), name == "$nin"
            return lambda value: any(_equals(value, each) for each in choices) != negated
        case "$exists":
            if not isinstance(wanted, bool):
                raise InvalidInputError(f"$exists needs true or false, not {wanted!r}.")
            return lambda value: (value is not MISSING) == wanted
        case "$gt" | "$gte" | "$lt" | "$lte":
            return _comparison(name, wanted)
        case _:
            known = "$eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists"
            raise InvalidInputError(f"Unknown operator {name!r} in a filter; use {known}.")


def _comparison(name: str, wanted: Any) -> Condition:
    if not _is_number(wanted) and not isinstance(wanted, str):
        raise InvalidInputError(f"{name} needs a number, a date or a text, not {wanted!r}.")

    def compares(value: Any) -> bool:
        pair = _comparable(value, wanted)
        if pair is None:
            return False
        left, right = pair
        if left == right:
            return name in {"$gte", "$lte"}
        return (left > right) == (name in {"$gt", "$gte"})

    return lambda value: any(compares(each) for each in _alternatives(value))


def _equals(value: Any, wanted: Any) -> bool:
    return any(_is_same(each, wanted) for each in _alternatives(value))


def _is_same(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) != isinstance(wanted, bool):
        return False  # 1 is not true
    return bool(value == wanted)


def _alternatives(value: Any) -> Sequence[Any]:
    """The value, and the items of a list."""
    return [value, *cast("list[Any]", value)] if isinstance(value, list) else [value]


def _comparable(value: Any, wanted: Any) -> tuple[Any, Any] | None:
    """Both values in a form that compares; None if they are of different kinds."""
    if _is_number(value) and _is_number(wanted):
        return value, wanted
    if not isinstance(value, str) or not isinstance(wanted, str):
        return None
    left, right = _moment(value), _moment(wanted)
    return (left, right) if left and right else (value, wanted)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)
