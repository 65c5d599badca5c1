"""Reads documents from a pickle of LangChain's FAISS without unpickling it.

A pickle is a program that can import and call anything. `pickletools` parses its instructions
without running them. This module interprets those that build plain data: a class becomes its name,
an object its class and state. Nothing is imported or called. A pickle that names a class other than
LangChain's documents, their store and `set` is rejected.
"""

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onionskin.memory.errors import InvalidInputError

_ALLOWED = re.compile(
    r"langchain[a-z_]*(\.[a-z_]+)*\.(Document|InMemoryDocstore)|(builtins|__builtin__)\.set"
)
_BROKEN = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError)
_LARGEST_KEY = 2**53
_LITERALS = frozenset(
    {
        *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"),
    }
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}


@dataclass(slots=True)
class PickleGlobal:
    """A class that the pickle names."""

    name: str


@dataclass(slots=True)
class PickleObject:
    """An object that unpickling would create: its class and state."""

    kind: PickleGlobal
    state: Any = None


def read_pickle(data: bytes) -> Any:
    """The content of a pickle: plain data, `PickleGlobal` and `PickleObject`.

    Raises:
        InvalidInputError: It is malformed, names another class, or uses another instruction.
    """
    reader = PickleReader()
    try:
        for instruction, argument, _ in pickletools.genops(data):
            if instruction.name == "STOP":
                return reader.stack.pop()
            reader.execute(instruction.name, argument)
    except _BROKEN as error:
        raise InvalidInputError(f"The pickle cannot be read: {error}.") from error
    raise InvalidInputError("The pickle cannot be read: its end is missing.")


class PickleReader:
    """Interpreter for the allowed pickle instructions, with their stack and memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def execute(self, name: str, argument: Any) -> None:
        """Execute one instruction."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name == "MARK":
            self._marks.append(len(self.stack))
        elif name not in {"PROTO", "FRAME"}:
            handler = getattr(self, f"_{name.lower()}", None)
            if handler is None:
                raise InvalidInputError(f"The pickle uses a forbidden instruction: {name}.")
            handler(argument)

    def _pop_to_mark(self) -> list[Any]:
        mark = self._marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("its stack is empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _binput(self, place: int) -> None:
        self._memo[place] = self.stack[-1]

    _long_binput = _binput

    def _binget(self, place: int) -> None:
        self.stack.append(self._memo[place])

    _long_binget = _binget

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def _tuple1(self, _: Any) -> None:
        self.stack.append(tuple(self._pop(1)))

    def _tuple2(self, _: Any) -> None:
        self.stack.append(tuple(self._pop(2)))

    def _tuple3(self, _: Any) -> None:
        self.stack.append(tuple(self._pop(3)))

    def _append(self, _: Any) -> None:
        (item,) = self._pop(1)
        self.stack[-1].append(item)

    def _appends(self, _: Any) -> None:
        items = self._pop_to_mark()
        self.stack[-1].extend(items)

    def _setitem(self, _: Any) -> None:
        name, value = self._pop(2)
        self.stack[-1][_hashed(name)] = value

    def _setitems(self, _: Any) -> None:
        items = self._pop_to_mark()
        names = map(_hashed, items[::2])
        self.stack[-1].update(zip(names, items[1::2], strict=True))

    def _additems(self, _: Any) -> None:
        items = self._pop_to_mark()
        self.stack[-1].update(map(_hashed, items))

    def _stack_global(self, _: Any) -> None:
        module, name = self._pop(2)
        self.stack.append(_pickle_global(f"{module}.{name}"))

    def _global(self, argument: str) -> None:
        self.stack.append(_pickle_global(argument.replace(" ", ".", 1)))

    def _newobj(self, _: Any) -> None:
        kind, _arguments = self._pop(2)
        self.stack.append(_pickle_object(kind))

    def _reduce(self, _: Any) -> None:
        kind, _arguments = self._pop(2)
        self.stack.append(_pickle_object(kind))

    def _build(self, _: Any) -> None:
        (state,) = self._pop(1)
        if not isinstance(self.stack[-1], PickleObject):
            raise TypeError("it sets the state of something that is no object")
        self.stack[-1].state = state


def _hashed(item: Any) -> str | int | float:
    """A key or member: text or a number of moderate size, whose hash is quick and hardly repeats.

    The hash of a nested tuple takes exponential time, or more stack than there is.
    """
    if isinstance(item, str | float) or (isinstance(item, int) and abs(item) <= _LARGEST_KEY):
        return item
    raise InvalidInputError("The pickle has a key or a member that is neither text nor a number.")


def _pickle_global(name: str) -> PickleGlobal:
    if not _ALLOWED.fullmatch(name):
        raise InvalidInputError(
            f"The pickle names {name!r}, which is not part of an index of documents."
        )
    return PickleGlobal(name)


def _pickle_object(kind: Any) -> PickleObject:
    if not isinstance(kind, PickleGlobal):
        raise TypeError("it creates an object of something that is no class")
    return PickleObject(kind)
