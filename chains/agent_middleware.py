"""Layered memory for agents of `langchain.agents.create_agent`.

Before a model call, the layers' memories for the user's message are added to the request. When the
agent has finished, message and answer are stored once, as one turn. Tool calls and their results
belong to the agent's state and are not stored.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelCallResult,
    ModelRequest,
    ModelResponse,
)
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.runnables.config import ensure_config
from langgraph.runtime import Runtime  # pyright: ignore[reportMissingTypeStubs]

from onionskin.chains.prompt import INSTRUCTIONS, prompt_parts
from onionskin.memory.errors import InvalidInputError, UnknownProfileError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.named_sessions import ExternalSession
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.types.messages import User


def with_memories(
    request: ModelRequest[Any],
    message: HumanMessage,
    recalled: RecallResult,
    *,
    text: str,
    only_window: bool,
) -> ModelRequest[Any]:
    """The request with the memories added.

    Memories that rarely change follow the agent's own instructions. Those recalled for the message
    precede it, so that the provider can cache a long prefix of the prompt.

    Args:
        request: The agent's request.
        message: The user's message of this turn.
        recalled: The memories for the message.
        text: The message as the model sees it.
        only_window: Whether the window replaces the thread's earlier messages.
    """
    if not recalled.sections:
        return request
    parts = prompt_parts(recalled)
    position = next(i for i, candidate in enumerate(request.messages) if candidate is message)
    before, after = request.messages[:position], request.messages[position + 1 :]
    if only_window or not before:
        before = list(parts.window)
    prompt = with_text(message, parts.with_message(text))
    instructions = "\n\n".join((INSTRUCTIONS, *parts.standing))
    return request.override(
        system_message=_with_instructions(request.system_message, instructions),
        messages=[*before, prompt, *after],  # pyright: ignore[reportArgumentType]
    )


def _with_instructions(message: SystemMessage | None, text: str) -> SystemMessage:
    """The system message with `text` appended; a new one if there is none."""
    if message is None:
        return SystemMessage(text)
    if isinstance(message.content, str):
        return SystemMessage(f"{message.content}\n\n{text}")
    return SystemMessage([*message.content, {"type": "text", "text": text}])


def with_text(message: HumanMessage, text: str) -> HumanMessage:
    """The message with its text replaced; images and other parts stay."""
    content = message.content
    parts = [] if isinstance(content, str) else [part for part in content if not _is_text(part)]
    new_content = [{"type": "text", "text": text}, *parts] if parts else text
    return message.model_copy(update={"content": new_content})


def _is_text(part: str | dict[str, Any]) -> bool:
    return isinstance(part, str) or part.get("type") == "text"


_MAX_CACHED_TURNS = 1000


@dataclass(frozen=True, slots=True)
class _AgentTurn:
    """A turn of an agent: its user, its thread and the user's message."""

    user: User
    thread: str | None
    message: HumanMessage

    @property
    def key(self) -> tuple[User, str | None, str | None]:
        return self.user, self.thread, self.message.id


class LayeredMemoryMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives an agent a memory across threads, restarts and processes.

    Args:
        onionskin: The open store.
        user: The owner of the memory. None for an agent that serves many users: then each run must
            name its user in `{"configurable": {"user_id": ..., "thread_id": ...}}`.
        tenant: The tenant of users that runs name.
        profile: The memory profile.
        history: Earlier messages of the thread that the model sees: all in the agent's state
            (`thread`), or the profile's window (`window`), which bounds the prompt.

    Raises:
        UnknownProfileError: The profile does not exist.
    """

    def __init__(
        self,
        onionskin: Onionskin,
        user: User | None = None,
        *,
        tenant: str = "default",
        profile: str = "layered",
        history: Literal["thread", "window"] = "thread",
    ) -> None:
        super().__init__()
        if profile not in onionskin.memories:
            names = ", ".join(sorted(onionskin.memories))
            raise UnknownProfileError(f"No memory profile {profile!r}; there are: {names}.")
        self._onionskin, self._memory = onionskin, onionskin.memories[profile]
        self._user, self._tenant, self._history = user, tenant, history
        self._recalled: OrderedDict[Any, RecallResult] = OrderedDict()

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelCallResult[Any]:
        """Add the memories to the request, then call the model.

        Raises:
            InvalidInputError: The run names no user, or not the middleware's user.
        """
        turn = self._find_turn(request.messages)
        if turn is None:
            return await handler(request)
        recalled = await self._onionskin.event_loop.run(self._recall(turn))
        return await handler(self._with_memories(request, turn, recalled))

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelCallResult[Any]:
        """Like `awrap_model_call`, for agents without an event loop."""
        turn = self._find_turn(request.messages)
        if turn is None:
            return handler(request)
        recalled = self._onionskin.event_loop.run_blocking(self._recall(turn))
        return handler(self._with_memories(request, turn, recalled))

    async def aafter_agent(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """Store the turn once, and remove private text from the message in the agent's state."""
        del runtime
        turn, reply = self._find_turn(state["messages"]), _reply(state["messages"])
        if turn is None or reply is None:
            return None
        await self._onionskin.event_loop.run(self._remember(turn, reply))
        return self._without_private_text(turn)

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Like `aafter_agent`, for agents without an event loop."""
        del runtime
        turn, reply = self._find_turn(state["messages"]), _reply(state["messages"])
        if turn is None or reply is None:
            return None
        self._onionskin.event_loop.run_blocking(self._remember(turn, reply))
        return self._without_private_text(turn)

    def _find_turn(self, messages: Sequence[AnyMessage]) -> _AgentTurn | None:
        """The turn of the user's last message; None if there is no message or no text in it."""
        from_user = [message for message in messages if isinstance(message, HumanMessage)]
        if not from_user or not str(from_user[-1].text).strip():
            return None
        configurable = ensure_config().get("configurable", {})
        user_id, thread = configurable.get("user_id"), configurable.get("thread_id")
        if self._user is None and not user_id:
            raise InvalidInputError(
                'The run names no user. Pass {"configurable": {"user_id": ...}}, or give the '
                "middleware a user."
            )
        if self._user and user_id not in {None, self._user.id}:
            raise InvalidInputError(f"This agent's memory does not belong to user {user_id!r}.")
        user = self._user or User(str(user_id), self._tenant)
        return _AgentTurn(user, None if thread is None else str(thread), from_user[-1])

    async def _recall(self, turn: _AgentTurn) -> RecallResult:
        """The memories for a turn; read once, although the agent calls the model several times."""
        cached = self._recalled.get(turn.key)
        if cached:
            return cached
        text = self._memory.privacy.prepare_message(str(turn.message.text)).for_storage
        if turn.thread is None:
            recalled = await self._memory.recall(turn.user, text, session_id=None, now=time.time())
        else:
            session = ExternalSession(self._onionskin, turn.user, turn.thread)
            recalled = await session.recall(self._memory, text)
        self._recalled[turn.key] = recalled
        if len(self._recalled) > _MAX_CACHED_TURNS:
            self._recalled.popitem(last=False)
        return recalled

    async def _remember(self, turn: _AgentTurn, reply: AIMessage) -> None:
        recalled = await self._recall(turn)
        message = self._memory.privacy.prepare_message(str(turn.message.text))
        answer = self._memory.privacy.answer_for_storage(str(reply.text), message.private_texts)
        nonce = f"agent:{turn.message.id}:{reply.id}" if reply.id else ""
        committed = await self._memory.remember(recalled, answer, at=time.time(), nonce=nonce)
        self._recalled.pop(turn.key, None)
        hooks = self._memory.plan_hooks(recalled.turn.user, committed)
        await self._onionskin.schedule(*self._memory.plan_tasks(recalled, answer), *hooks)

    def _with_memories(
        self, request: ModelRequest[Any], turn: _AgentTurn, recalled: RecallResult
    ) -> ModelRequest[Any]:
        text = self._memory.privacy.prepare_message(str(turn.message.text)).for_model
        only_window = self._history == "window"
        return with_memories(request, turn.message, recalled, text=text, only_window=only_window)

    def _without_private_text(self, turn: _AgentTurn) -> dict[str, Any] | None:
        """An update of the agent's state that removes private text; None if there is none."""
        message = self._memory.privacy.prepare_message(str(turn.message.text))
        if not message.has_private_text:
            return None
        return {"messages": [with_text(turn.message, message.for_storage)]}


def _reply(messages: Sequence[AnyMessage]) -> AIMessage | None:
    """The agent's answer; None if it ended without one."""
    last = messages[-1] if messages else None
    if not isinstance(last, AIMessage) or last.tool_calls or not str(last.text).strip():
        return None
    return last
