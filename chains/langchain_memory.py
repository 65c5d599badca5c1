"""`CombinedMemory` and its layers as LangChain's classic `BaseMemory`.

`langchain_classic` gets security fixes until December 2026: nothing else of Onionskin's imports this
module.
"""

import time
from typing import Annotated, Any

from langchain_classic.base_memory import BaseMemory
from langchain_core.messages import BaseMessage, SystemMessage, get_buffer_string
from pydantic import ConfigDict, GetPydanticSchema, PrivateAttr
from pydantic_core.core_schema import is_instance_schema

from onionskin.chains.prompt import INSTRUCTIONS, prompt_parts
from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.named_sessions import ExternalSession
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.types.messages import User

_OPAQUE = GetPydanticSchema(lambda _source, _handler: is_instance_schema(Onionskin))


class OnionskinMemory(BaseMemory):
    """A profile as a classic memory: all its layers, or one (`window`, `summary`, `vector` ...).

    In LangChain's own `CombinedMemory` several stand side by side; all but one with `saves=False`,
    because each would store the turn.

    Attributes:
        onionskin: where it is kept.
        user: whose memory.
        session: its name, any text.
        profile: which layers.
        memory_key: the variable of the prompt.
        input_key, output_key: which input and output is said; None where there is only one.
        return_messages: whether the variable holds messages; else a text.
        saves: whether `save_context` stores the turn.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    onionskin: Annotated[Onionskin, _OPAQUE]
    user: User
    session: str
    profile: str = "layered"
    memory_key: str = "history"
    input_key: str | None = None
    output_key: str | None = None
    return_messages: bool = False
    saves: bool = True
    _recalled: RecallResult | None = PrivateAttr(default=None)

    @property
    def memory_variables(self) -> list[str]:
        """The one variable."""
        return [self.memory_key]

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """As `aload_memory_variables`, from a thread without an event loop."""
        return self.onionskin.event_loop.run_blocking(self.aload_memory_variables(inputs))

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """As `asave_context`."""
        self.onionskin.event_loop.run_blocking(self.asave_context(inputs, outputs))

    def clear(self) -> None:
        """As `aclear`."""
        self.onionskin.event_loop.run_blocking(self.aclear())

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the layers have to say to the input, within their budgets."""
        text = self._said(inputs)
        recalled = self._recalled = await self.onionskin.event_loop.run(self._recall(text))
        messages = _messages(recalled)
        return {self.memory_key: messages if self.return_messages else _text(messages)}

    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """Store the turn: input and output, whole or not at all."""
        if not self.saves:
            return
        said, reply = self._said(inputs), _one(outputs, self.output_key, "output")
        await self.onionskin.event_loop.run(self._remember(said, reply))

    async def aclear(self) -> None:
        """Delete the session."""
        await self.onionskin.event_loop.run(self._session.clear())

    @property
    def _session(self) -> ExternalSession:
        return ExternalSession(self.onionskin, self.user, self.session)

    async def _recall(self, text: str) -> RecallResult:
        memory = self.onionskin.memories[self.profile]
        return await self._session.recall(memory, memory.privacy.prepare_message(text).for_storage)

    async def _remember(self, text: str, reply: str) -> None:
        memory = self.onionskin.memories[self.profile]
        said, recalled = memory.privacy.prepare_message(text), self._recalled
        if recalled is None or recalled.turn.text != said.for_storage:
            recalled = await self._recall(text)
        self._recalled = None
        kept = memory.privacy.answer_for_storage(reply, said.private_texts)
        await memory.remember(recalled, kept, at=time.time())
        await self.onionskin.schedule(*memory.plan_tasks(recalled, kept))

    def _said(self, inputs: dict[str, Any]) -> str:
        own = {name: one for name, one in inputs.items() if name not in self.memory_variables}
        return _one(own, self.input_key, "input")


def _one(values: dict[str, Any], key: str | None, what: str) -> str:
    """The value that is said."""
    if key is None and len(values) != 1:
        raise InvalidInputError(
            f"There are several {what}s ({', '.join(sorted(values))}): say which with {what}_key."
        )
    value = values[key] if key is not None else next(iter(values.values()))
    return str(value.text) if isinstance(value, BaseMessage) else str(value)


def _messages(recalled: RecallResult) -> list[BaseMessage]:
    parts = prompt_parts(recalled)
    noted = (*parts.standing, *parts.recalled[:-1])  # the time is of no use without the message
    head = [SystemMessage("\n\n".join((INSTRUCTIONS, *noted)))] if noted else []
    return [*head, *parts.window]


def _text(messages: list[BaseMessage]) -> str:
    head, said = messages, messages[1:]
    if not messages or messages[0].type != "system":
        return get_buffer_string(messages)
    return "\n\n".join(filter(None, (str(head[0].text), get_buffer_string(said))))
