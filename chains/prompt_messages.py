"""A prompt of texts: LangChain's messages are made where somebody looks at them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias, overload

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

Role: TypeAlias = Literal["system", "user", "assistant"]


class Prompt(Sequence[BaseMessage]):
    """Chat messages that are a role and a text each.

    It goes to any chat model as a list of messages does. One that sends nothing but roles and texts
    takes `said`: a message of LangChain's costs more than all else that is done with it.

    Args:
        said: roles and texts, in order.
    """

    def __init__(self, said: Iterable[tuple[Role, str]] = ()) -> None:
        self.said = tuple(said)

    def __len__(self) -> int:
        return len(self.said)

    @overload
    def __getitem__(self, place: int) -> BaseMessage: ...
    @overload
    def __getitem__(self, place: slice) -> list[BaseMessage]: ...
    def __getitem__(self, place: int | slice) -> BaseMessage | list[BaseMessage]:
        if isinstance(place, slice):
            return [_message(*one) for one in self.said[place]]
        return _message(*self.said[place])

    def __iter__(self) -> Iterator[BaseMessage]:
        return iter(self[:])


def _message(role: Role, text: str) -> BaseMessage:
    if role == "assistant":
        return AIMessage(text)
    return HumanMessage(text) if role == "user" else SystemMessage(text)
