"""Layered memory for agents of `langchain.agents.create_agent`.

Before the model is called it reads what the layers have to say to the user's message; when the
agent is done, message and answer are stored, whole and once. Calls of tools and their results
belong to the agent's state and are not stored.

What an agent's model reads: its own instructions and messages, and what is remembered.
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


def remembering(
    request: ModelRequest[Any],
    message: HumanMessage,
    recalled: RecallResult,
    *,
    seen: str,
    bounded: bool,
) -> ModelRequest[Any]:
    """A request with what is remembered in it.

    What changes rarely follows the agent's own instructions; what was recalled for the message
    stands before it, so that a provider caches as much as it can.

    Args:
        request: the agent's.
        message: the user's, of the turn at hand.
        recalled: what is remembered for it.
        seen: the message as the model is to see it.
        bounded: whether the window stands in place of all that the thread holds before the message.
    """
    if not recalled.sections:
        return request
    parts = prompt_parts(recalled)
    at = next(place for place, one in enumerate(request.messages) if one is message)
    before, after = request.messages[:at], request.messages[at + 1 :]
    if bounded or not before:
        before = list(parts.window)
    whole = with_text(message, parts.with_message(seen))
    standing = "\n\n".join((INSTRUCTIONS, *parts.standing))
    return request.override(
        system_message=_behind(request.system_message, standing),
        messages=[*before, whole, *after],  # pyright: ignore[reportArgumentType]
    )


def _behind(own: SystemMessage | None, text: str) -> SystemMessage:
    """Instructions with a text behind them."""
    if own is None:
        return SystemMessage(text)
    if isinstance(own.content, str):
        return SystemMessage(f"{own.content}\n\n{text}")
    return SystemMessage([*own.content, {"type": "text", "text": text}])


def with_text(message: HumanMessage, text: str) -> HumanMessage:
    """The message with another text; images and other parts stay."""
    content = message.content
    parts = [] if isinstance(content, str) else [one for one in content if not _is_text(one)]
    whole = [{"type": "text", "text": text}, *parts] if parts else text
    return message.model_copy(update={"content": whole})


def _is_text(part: str | dict[str, Any]) -> bool:
    return isinstance(part, str) or part.get("type") == "text"


_MOST_TURNS = 1000


@dataclass(frozen=True, slots=True)
class _Asked:
    """The turn at hand: whose it is, of which thread, and the message."""

    user: User
    thread: str | None
    message: HumanMessage

    @property
    def key(self) -> tuple[User, str | None, str | None]:
        return self.user, self.thread, self.message.id


class LayeredMemoryMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives an agent a memory that lasts across threads, restarts and processes.

    Args:
        onionskin: where it is kept.
        user: whose memory. None for an agent that serves many users: then each run says it, in
            `{"configurable": {"user_id": ..., "thread_id": ...}}`; one that does not is refused.
        tenant: of the users that runs name.
        profile: which layers.
        history: what the model sees of the thread before the message: all that the agent's state
            holds of it (`thread`), or the tail that the profile keeps verbatim (`window`), so that
            the prompt stays bounded.
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
            known = ", ".join(sorted(onionskin.memories))
            raise UnknownProfileError(f"No memory profile {profile!r}; there are: {known}.")
        self._onionskin, self._memory = onionskin, onionskin.memories[profile]
        self._user, self._tenant, self._history = user, tenant, history
        self._recalled: OrderedDict[Any, RecallResult] = OrderedDict()

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelCallResult[Any]:
        """Put what is remembered before the model."""
        asked = self._asked(request.messages)
        if asked is None:
            return await handler(request)
        recalled = await self._onionskin.event_loop.run(self._recollection(asked))
        return await handler(self._remembering(request, asked, recalled))

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelCallResult[Any]:
        """As `awrap_model_call`, for agents without an event loop."""
        asked = self._asked(request.messages)
        if asked is None:
            return handler(request)
        recalled = self._onionskin.event_loop.run_blocking(self._recollection(asked))
        return handler(self._remembering(request, asked, recalled))

    async def aafter_agent(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """Store the turn, once; what was private in the message is gone from the state, too."""
        del runtime
        asked, reply = self._asked(state["messages"]), _reply(state["messages"])
        if asked is None or reply is None:
            return None
        await self._onionskin.event_loop.run(self._remember(asked, reply))
        return self._without_secrets(asked)

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """As `aafter_agent`."""
        del runtime
        asked, reply = self._asked(state["messages"]), _reply(state["messages"])
        if asked is None or reply is None:
            return None
        self._onionskin.event_loop.run_blocking(self._remember(asked, reply))
        return self._without_secrets(asked)

    def _asked(self, messages: Sequence[AnyMessage]) -> _Asked | None:
        """The turn of the last message of the user's."""
        said = [one for one in messages if isinstance(one, HumanMessage)]
        if not said or not str(said[-1].text).strip():
            return None
        configurable = ensure_config().get("configurable", {})
        named, thread = configurable.get("user_id"), configurable.get("thread_id")
        if self._user is None and not named:
            raise InvalidInputError(
                'Say whose memory it is: {"configurable": {"user_id": ...}}, or give the '
                "middleware a user."
            )
        if self._user and named not in {None, self._user.id}:
            raise InvalidInputError(f"This agent's memory is not that of user {named!r}.")
        user = self._user or User(str(named), self._tenant)
        return _Asked(user, None if thread is None else str(thread), said[-1])

    async def _recollection(self, asked: _Asked) -> RecallResult:
        """What is remembered for a turn: read once, however often the model is called in it."""
        known = self._recalled.get(asked.key)
        if known:
            return known
        text = self._memory.privacy.prepare_message(str(asked.message.text)).for_storage
        if asked.thread is None:
            recalled = await self._memory.recall(asked.user, text, session_id=None, now=time.time())
        else:
            session = ExternalSession(self._onionskin, asked.user, asked.thread)
            recalled = await session.recall(self._memory, text)
        self._recalled[asked.key] = recalled
        if len(self._recalled) > _MOST_TURNS:
            self._recalled.popitem(last=False)
        return recalled

    async def _remember(self, asked: _Asked, reply: AIMessage) -> None:
        recalled = await self._recollection(asked)
        said = self._memory.privacy.prepare_message(str(asked.message.text))
        kept = self._memory.privacy.answer_for_storage(str(reply.text), said.private_texts)
        nonce = f"agent:{asked.message.id}:{reply.id}" if reply.id else ""
        await self._memory.remember(recalled, kept, at=time.time(), nonce=nonce)
        self._recalled.pop(asked.key, None)
        await self._onionskin.schedule(*self._memory.plan_tasks(recalled, kept))

    def _remembering(
        self, request: ModelRequest[Any], asked: _Asked, recalled: RecallResult
    ) -> ModelRequest[Any]:
        seen = self._memory.privacy.prepare_message(str(asked.message.text)).for_model
        return remembering(
            request, asked.message, recalled, seen=seen, bounded=self._history == "window"
        )

    def _without_secrets(self, asked: _Asked) -> dict[str, Any] | None:
        said = self._memory.privacy.prepare_message(str(asked.message.text))
        if not said.has_private_text:
            return None
        return {"messages": [with_text(asked.message, said.for_storage)]}


def _reply(messages: Sequence[AnyMessage]) -> AIMessage | None:
    """The agent's answer; None where it ended without one."""
    last = messages[-1] if messages else None
    if not isinstance(last, AIMessage) or last.tool_calls or not str(last.text).strip():
        return None
    return last
