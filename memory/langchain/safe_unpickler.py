"""Reads the documents out of a pickle of LangChain's FAISS without unpickling it.

A pickle is a program that can import and call anything. Here its instructions are taken apart by
`pickletools`, which runs none of them, and followed as far as they build plain data: a class that
is named becomes its name, an object its name and state. Nothing is imported, nothing is called, and
a pickle that names anything but LangChain's documents and their store is refused.
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
_MARK = object()
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
    "MARK": lambda: _MARK,
}


@dataclass(slots=True)
class PickleGlobal:
    """A class that a pickle names."""

    name: str


@dataclass(slots=True)
class PickleObject:
    """An object that a pickle would make: of which class, and with which state."""

    kind: PickleGlobal
    state: Any = None


def read_pickle(data: bytes) -> Any:
    """What a pickle holds: plain data, `Named` and `Made`.

    Raises:
        InvalidInputError: it is no pickle, names something else, or does what is not followed here.
    """
    machine = PickleReader()
    try:
        for instruction, argument, _ in pickletools.genops(data):
            if instruction.name == "STOP":
                return machine.stack.pop()
            machine.execute(instruction.name, argument)
    except _BROKEN as error:
        raise InvalidInputError(f"The pickle cannot be read: {error}.") from error
    raise InvalidInputError("The pickle cannot be read: it has no end.")


class PickleReader:
    """A stack and a memo, as the pickle's instructions expect them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def execute(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name not in {"PROTO", "FRAME"}:
            step = getattr(self, f"_{name.lower()}", None)
            if step is None:
                raise InvalidInputError(f"The pickle does what no documents need: {name}.")
            step(argument)

    def _marked(self) -> list[Any]:
        at = max(place for place, one in enumerate(self.stack) if one is _MARK)
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def _popped(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("its stack is empty")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _binput(self, place: int) -> None:
        self._memo[place] = self.stack[-1]

    _long_binput = _binput

    def _binget(self, place: int) -> None:
        self.stack.append(self._memo[place])

    _long_binget = _binget

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._marked()))

    def _tuple1(self, _: Any) -> None:
        self.stack.append(tuple(self._popped(1)))

    def _tuple2(self, _: Any) -> None:
        self.stack.append(tuple(self._popped(2)))

    def _tuple3(self, _: Any) -> None:
        self.stack.append(tuple(self._popped(3)))

    def _append(self, _: Any) -> None:
        (one,) = self._popped(1)
        self.stack[-1].append(one)

    def _appends(self, _: Any) -> None:
        added = self._marked()
        self.stack[-1].extend(added)

    def _setitem(self, _: Any) -> None:
        name, one = self._popped(2)
        self.stack[-1][name] = one

    def _setitems(self, _: Any) -> None:
        added = self._marked()
        self.stack[-1].update(zip(added[::2], added[1::2], strict=True))

    def _additems(self, _: Any) -> None:
        added = self._marked()
        self.stack[-1].update(added)

    def _stack_global(self, _: Any) -> None:
        module, name = self._popped(2)
        self.stack.append(_named(f"{module}.{name}"))

    def _global(self, argument: str) -> None:
        self.stack.append(_named(argument.replace(" ", ".", 1)))

    def _newobj(self, _: Any) -> None:
        kind, _arguments = self._popped(2)
        self.stack.append(_made(kind))

    def _reduce(self, _: Any) -> None:
        kind, _arguments = self._popped(2)
        self.stack.append(_made(kind))

    def _build(self, _: Any) -> None:
        (state,) = self._popped(1)
        if not isinstance(self.stack[-1], PickleObject):
            raise TypeError("it gives a state to what has none")
        self.stack[-1].state = state


def _named(name: str) -> PickleGlobal:
    if not _ALLOWED.fullmatch(name):
        raise InvalidInputError(
            f"The pickle names {name!r}: that belongs to no index of documents, and is not run."
        )
    return PickleGlobal(name)


def _made(kind: Any) -> PickleObject:
    if not isinstance(kind, PickleGlobal):
        raise TypeError("it makes an object of what is no class")
    return PickleObject(kind)
