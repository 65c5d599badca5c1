"""`CombinedMemory` and its layers as LangChain's classic `BaseMemory`.

`langchain_classic` gets security fixes until December 2026, so no other module imports this one.
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

    LangChain's own `CombinedMemory` can hold several of them. Set `saves=False` on all but one,
    because each stores the turn.

    Attributes:
        onionskin: The open store.
        user: The owner of the memory.
        session: Name of the session; any text.
        profile: The memory profile.
        memory_key: The prompt variable.
        input_key, output_key: Names of the input and output that are stored; None if there is only
            one.
        return_messages: Whether the variable holds messages; otherwise it holds a text.
        saves: Whether `save_context` stores the turn.
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
        """The prompt variable, as a list."""
        return [self.memory_key]

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Like `aload_memory_variables`, from a thread without an event loop."""
        return self.onionskin.event_loop.run_blocking(self.aload_memory_variables(inputs))

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """Like `asave_context`, from a thread without an event loop."""
        self.onionskin.event_loop.run_blocking(self.asave_context(inputs, outputs))

    def clear(self) -> None:
        """Like `aclear`, from a thread without an event loop."""
        self.onionskin.event_loop.run_blocking(self.aclear())

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The layers' memories for the input, within their budgets."""
        text = self._input_text(inputs)
        recalled = self._recalled = await self.onionskin.event_loop.run(self._recall(text))
        messages = _messages(recalled)
        return {self.memory_key: messages if self.return_messages else _text(messages)}

    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """Store input and output as one turn: both or neither."""
        if not self.saves:
            return
        text, reply = self._input_text(inputs), _text_of(outputs, self.output_key, "output")
        await self.onionskin.event_loop.run(self._remember(text, reply))

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
        message, recalled = memory.privacy.prepare_message(text), self._recalled
        if recalled is None or recalled.turn.text != message.for_storage:
            recalled = await self._recall(text)
        self._recalled = None
        answer = memory.privacy.answer_for_storage(reply, message.private_texts)
        committed = await memory.remember(recalled, answer, at=time.time())
        hooks = memory.plan_hooks(recalled.turn.user, committed)
        await self.onionskin.schedule(*memory.plan_tasks(recalled, answer), *hooks)

    def _input_text(self, inputs: dict[str, Any]) -> str:
        own = {name: value for name, value in inputs.items() if name not in self.memory_variables}
        return _text_of(own, self.input_key, "input")


def _text_of(values: dict[str, Any], key: str | None, kind: str) -> str:
    """The text of the value under `key`, or of the only value."""
    if key is None and len(values) != 1:
        names = ", ".join(sorted(values))
        raise InvalidInputError(f"Expected one {kind}, got {names!r}. Choose one with {kind}_key.")
    value = values[key] if key is not None else next(iter(values.values()))
    return str(value.text) if isinstance(value, BaseMessage) else str(value)


def _messages(recalled: RecallResult) -> list[BaseMessage]:
    parts = prompt_parts(recalled)
    memories = (*parts.standing, *parts.recalled[:-1])  # without the time of the message
    system = [SystemMessage("\n\n".join((INSTRUCTIONS, *memories)))] if memories else []
    return [*system, *parts.window]


def _text(messages: list[BaseMessage]) -> str:
    if not messages or messages[0].type != "system":
        return get_buffer_string(messages)
    system, window = messages[0], messages[1:]
    return "\n\n".join(filter(None, (str(system.text), get_buffer_string(window))))
