"""`CombinedMemory` and its layers as LangChain's classic `BaseMemory`.

`langchain_classic` gets security fixes until December 2026, so no other module imports this one.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, cast

from langchain_classic.base_memory import BaseMemory
from langchain_core.agents import AgentAction
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    SystemMessage,
    ToolMessage,
    get_buffer_string,
)
from pydantic import ConfigDict, GetPydanticSchema, PrivateAttr
from pydantic_core.core_schema import is_instance_schema

from onionskin.chains.prompt import INSTRUCTIONS, prompt_parts
from onionskin.memory.content import stored_text
from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.message_conversion import is_from_user, rounds_in
from onionskin.memory.langchain.named_sessions import ExternalSession
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.types.messages import User

_STEPS = "intermediate_steps"
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

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
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

    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Store input and output as one turn: both or neither.

        The calls and results of an agent are stored with it: those of messages in the output, or of
        the `intermediate_steps` of an `AgentExecutor`.
        """
        if not self.saves:
            return
        steps = outputs.get(_STEPS) or ()
        kept = {name: value for name, value in outputs.items() if name != _STEPS}
        answers = _answers(_value_of(kept, self.output_key, "output"))
        text, messages = self._input_text(inputs), [*_messages_of(steps), *answers]
        await self.onionskin.event_loop.run(self._remember(text, messages))

    async def aclear(self) -> None:
        """Delete the session."""
        await self.onionskin.event_loop.run(self._session.clear())

    @property
    def _session(self) -> ExternalSession:
        return ExternalSession(self.onionskin, self.user, self.session)

    async def _recall(self, text: str) -> RecallResult:
        memory = self.onionskin.memories[self.profile]
        return await self._session.recall(memory, memory.privacy.prepare_message(text).for_storage)

    async def _remember(self, text: str, messages: list[BaseMessage]) -> None:
        memory = self.onionskin.memories[self.profile]
        message, recalled = memory.privacy.prepare_message(text), self._recalled
        if recalled is None or recalled.turn.text != message.for_storage:
            recalled = await self._recall(text)
        self._recalled = None
        results, rounds, answer = rounds_in(messages, memory.privacy, message.private_texts)
        turn = replace(recalled.turn, results=results, rounds=rounds)
        recalled = replace(recalled, turn=turn)
        committed = await memory.remember(recalled, answer, at=time.time())
        hooks = memory.plan_hooks(recalled.turn.user, committed)
        await self.onionskin.schedule(*memory.plan_tasks(recalled, answer), *hooks)

    def _input_text(self, inputs: dict[str, Any]) -> str:
        own = {name: value for name, value in inputs.items() if name not in self.memory_variables}
        return _text_of(own, self.input_key, "input")


def _text_of(values: dict[str, Any], key: str | None, kind: str) -> str:
    """The text of the value under `key`, or of the only value."""
    value = _value_of(values, key, kind)
    if isinstance(value, BaseMessage):
        return stored_text(cast("Any", value.content))
    said = _last_said(_messages_in(value))
    return "\n".join(stored_text(cast("Any", one.content)) for one in said) or str(value)


def _value_of(values: dict[str, Any], key: str | None, kind: str) -> Any:
    if key is None and len(values) != 1:
        names = ", ".join(sorted(values))
        raise InvalidInputError(f"Expected one {kind}, got {names!r}. Choose one with {kind}_key.")
    return values[key] if key is not None else next(iter(values.values()))


def _last_said(messages: list[BaseMessage]) -> list[BaseMessage]:
    """The user's messages since the last answer; all messages if there is none."""
    said: list[BaseMessage] = []
    for message in messages:
        if message.type in ("ai", "tool"):
            said.clear()
        elif is_from_user(message):
            said.append(message)
    return said or messages[-1:]


def _answers(output: Any) -> list[BaseMessage]:
    """An output as messages."""
    if isinstance(output, BaseMessage):
        return [output]
    return _messages_in(output) or [AIMessage(str(output))]


def _messages_in(value: Any) -> list[BaseMessage]:
    """The messages in a list; an empty list for anything else."""
    items: list[Any] = cast("list[Any]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, BaseMessage)]


def _messages_of(steps: Iterable[tuple[AgentAction, Any]]) -> Iterator[BaseMessage]:
    """The steps of an `AgentExecutor` as messages: each a call and its result."""
    for number, (action, result) in enumerate(steps, 1):
        id_ = str(getattr(action, "tool_call_id", None) or f"call_{number}")
        arguments = action.tool_input
        args = arguments if isinstance(arguments, dict) else {"input": arguments}
        yield AIMessage("", tool_calls=[{"name": action.tool, "args": args, "id": id_}])
        yield ToolMessage(str(result), tool_call_id=id_, name=action.tool)


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
