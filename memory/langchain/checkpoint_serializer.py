"""What is made of the stored bytes of a checkpoint: plain data, messages, and what was allowed.

LangGraph's serializer imports and calls whatever a stored value names, unless it is told not to;
it can fall back to pickle, and reads an older format with LangChain's loader. Here nothing is built
but the types on LangGraph's own list of safe ones (messages, documents, dates, numbers, sets) and
those that the program names; of any other type the data come back as they are.
"""

from collections.abc import Iterable
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from onionskin.memory.errors import CorruptValueError

_READ = frozenset({"null", "bytes", "bytearray", "msgpack"})


class PlainSerializer(JsonPlusSerializer):
    """LangGraph's serializer without pickle, without loaders, and with a closed list of types.

    Args:
        allow: further types of the program's own that may be built from what is stored, such as
            the Pydantic models of a graph's state.
    """

    def __init__(self, allow: Iterable[type] = ()) -> None:
        # An empty list would mean what None means; and True would mean every type.
        super().__init__(pickle_fallback=False, allowed_msgpack_modules=tuple(allow) or None)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value of `dumps_typed`.

        Raises:
            CorruptValueError: it is of a format that is not read here, such as pickle.
        """
        if data[0] not in _READ:
            raise CorruptValueError(
                f"A stored checkpoint is of type {data[0]!r}, which is never read: "
                "it could name any code."
            )
        return super().loads_typed(data)
