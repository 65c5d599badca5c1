"""From decoded JSON to results: a field that the client does not know is passed over."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def parsed(kind: type[T], data: Any) -> T:
    """A result of a type.

    Raises:
        ValueError: something is missing, or is no time where one belongs.
    """
    hints = get_type_hints(kind)
    known = {one.name for one in fields(kind)}  # pyright: ignore[reportArgumentType]
    given = {name: _value(hints[name], one) for name, one in data.items() if name in known}
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(f"An answer is no {kind.__name__}: {error}.") from error


def parser(kind: type[T]) -> Callable[[Any], T]:
    """`parsed` for one type."""
    return lambda data: parsed(kind, data)


def _value(hint: Any, data: Any) -> Any:
    if get_origin(hint) is UnionType:
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
        return None if data is None else _value(hint, data)
    if hint is datetime:
        return datetime.fromisoformat(data)
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], one) for one in data)
    return parsed(hint, data) if is_dataclass(hint) and isinstance(hint, type) else data
