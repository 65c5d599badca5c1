"""A safe serializer for checkpoints: plain data, messages, and types that the program allows.

By default LangGraph's serializer imports and calls what a stored value names, can fall back to
pickle, and reads an older format with LangChain's loader. This one builds only the types on
LangGraph's own safe list (messages, documents, dates, numbers, sets) and the program's types.
Values of other types come back as plain data.
"""

from collections.abc import Iterable
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from onionskin.memory.errors import CorruptValueError

_READ = frozenset({"null", "bytes", "bytearray", "msgpack"})


class PlainSerializer(JsonPlusSerializer):
    """LangGraph's serializer without pickle, without loaders, and with a closed list of types.

    Args:
        allow: Further types that stored values may be decoded to, such as the Pydantic models of
            a graph's state.
    """

    def __init__(self, allow: Iterable[type] = ()) -> None:
        # LangGraph reads an empty list as None, and True as every type.
        super().__init__(pickle_fallback=False, allowed_msgpack_modules=tuple(allow) or None)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value that `dumps_typed` encoded.

        Raises:
            CorruptValueError: The format is not allowed, such as pickle.
        """
        if data[0] not in _READ:
            raise CorruptValueError(
                f"A stored checkpoint is of type {data[0]!r}, which is never read: "
                "it could name any code."
            )
        return super().loads_typed(data)
