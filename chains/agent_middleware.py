"""Layered memory for agents of `langchain.agents.create_agent`.

Before a model call, the layers' memories for the user's messages are added to the request. What the
user said, and what came of it, is stored as one turn: calls of tools when the model makes them, the
answer when the agent has finished. A run that ends early leaves a turn that a later run completes.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, NotRequired, cast

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelCallResult,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables.config import ensure_config
from langgraph.runtime import Runtime  # pyright: ignore[reportMissingTypeStubs]

from onionskin.chains.agent_prompt import with_memories, with_text, without_own_messages
from onionskin.chains.agent_turns import (
    AgentTurn,
    Progress,
    Said,
    find_turn,
    nonce_of,
    prepared,
    stored_progress,
    without_repetitions,
)
from onionskin.memory.errors import InvalidInputError, OnionskinError, UnknownProfileError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.message_conversion import answers_in
from onionskin.memory.langchain.named_sessions import ExternalSession
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.retrieval import embed_with_timeout
from onionskin.memory.tokens import title_of
from onionskin.memory.types.messages import Message, User
from onionskin.memory.types.prompt_trace import layer_trace, pack_trace

_MAX_CACHED_TURNS, _EMBED_SECONDS = 1000, 30.0
_MARGIN = 32
"""Messages of a turn that are read beyond those in the agent's state."""
_TOOLS_NODE = "tools"
"""The node of `create_agent` that runs tools, and so the agents that tools call."""


class MemoryState(AgentState[Any]):
    """The agent's state, with what the user said in the current turn, as it is stored."""

    onionskin_said: NotRequired[Annotated[list[dict[str, Any]], PrivateStateAttr]]


@dataclass
class _Memory:
    """What was recalled for a turn, and what is stored of it."""

    recalled: RecallResult
    progress: Progress


class LayeredMemoryMiddleware(AgentMiddleware[MemoryState, Any, Any]):
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

    state_schema = MemoryState

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
        self._turns: OrderedDict[Any, _Memory] = OrderedDict()

    def before_agent(self, state: MemoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Note what the user said, because other middleware may remove it from the state."""
        del runtime
        messages, _ = find_turn(state["messages"])
        said = [Said.of(message, self._memory.privacy) for message in messages]
        return {"onionskin_said": [each.to_state() for each in said]}

    async def abefore_agent(
        self, state: MemoryState, runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """Like `before_agent`, on an event loop."""
        return self.before_agent(state, runtime)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelCallResult[Any]:
        """Add the memories to the request, call the model, and store the calls of its answer.

        If the model fails, the user's messages are stored without an answer.

        Raises:
            InvalidInputError: The run names no user, or not the middleware's user.
        """
        turn = self._find_turn(request.state)
        if turn is None:
            return await handler(request)
        run = self._onionskin.event_loop.run
        memory = await run(self._recall(turn))
        try:
            response = await handler(self._with_memories(request, turn, memory.recalled))
        except BaseException as error:
            await run(self._store_unanswered(turn, memory, error))
            raise
        if _calls_tools(response):
            await run(self._store(_with(turn, response), memory))
        return response

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelCallResult[Any]:
        """Like `awrap_model_call`, for agents without an event loop."""
        turn = self._find_turn(request.state)
        if turn is None:
            return handler(request)
        run = self._onionskin.event_loop.run_blocking
        memory = run(self._recall(turn))
        try:
            response = handler(self._with_memories(request, turn, memory.recalled))
        except BaseException as error:
            run(self._store_unanswered(turn, memory, error))
            raise
        if _calls_tools(response):
            run(self._store(_with(turn, response), memory))
        return response

    async def aafter_agent(
        self, state: MemoryState, runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """Store the rest of the turn, and remove private text from the state's messages."""
        del runtime
        turn = self._find_turn(state)
        if turn is None:
            return None
        await self._onionskin.event_loop.run(self._finish(turn))
        return self._without_private_text(state, turn)

    def after_agent(self, state: MemoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Like `aafter_agent`, for agents without an event loop."""
        del runtime
        turn = self._find_turn(state)
        if turn is None:
            return None
        self._onionskin.event_loop.run_blocking(self._finish(turn))
        return self._without_private_text(state, turn)

    def _find_turn(self, state: AgentState[Any]) -> AgentTurn | None:
        """The turn of a state; None if the user said nothing."""
        messages = state["messages"]
        noted = cast("MemoryState", state).get("onionskin_said")
        if noted is None:
            found, _ = find_turn(messages)
            all_said = [Said.of(message, self._memory.privacy) for message in found]
        else:
            all_said = [Said.from_state(each) for each in noted]
        if not all_said:
            return None
        ids = tuple(each.id for each in all_said)
        last = max((place for place, each in enumerate(messages) if each.id in ids), default=-1)
        private_texts = (
            text
            for message in messages
            if message.id in ids and isinstance(message, HumanMessage)
            for text in prepared(message, self._memory.privacy).private_texts
        )
        config = ensure_config().get("configurable", {})
        thread = config.get("thread_id")
        return AgentTurn(
            self._user_of(config.get("user_id")),
            None if thread is None else str(thread),
            tuple(without_repetitions(all_said)),
            ids,
            tuple(messages[last + 1 :]),
            tuple(private_texts),
            not _is_called_by_tool(str(config.get("checkpoint_ns") or "")),
        )

    def _user_of(self, user_id: Any) -> User:
        if self._user is None and not user_id:
            raise InvalidInputError(
                'The run names no user. Pass {"configurable": {"user_id": ...}}, or give the '
                "middleware a user."
            )
        if self._user and user_id not in {None, self._user.id}:
            raise InvalidInputError(f"This agent's memory does not belong to user {user_id!r}.")
        return self._user or User(str(user_id), self._tenant)

    async def _recall(self, turn: AgentTurn) -> _Memory:
        """The memories for a turn; read once, although the agent calls the model several times."""
        cached = self._turns.get(turn.key)
        if cached:
            return cached
        if turn.thread is None:
            recalled = await self._memory.recall(
                turn.user, turn.text, session_id=None, now=time.time()
            )
        else:
            session = ExternalSession(self._onionskin, turn.user, turn.thread)
            recalled = await session.recall(self._memory, turn.text)
        progress = await self._progress(turn, recalled)
        memory = _Memory(without_own_messages(recalled, progress), progress)
        self._turns[turn.key] = memory
        if len(self._turns) > _MAX_CACHED_TURNS:
            self._turns.popitem(last=False)
        return memory

    async def _progress(self, turn: AgentTurn, recalled: RecallResult) -> Progress:
        """What is stored of the turn; read again only for one that may have begun before."""
        snapshot = recalled.turn.snapshot
        if snapshot.is_new or not snapshot.session.length:
            return Progress()
        answers, stored = self._answers(turn), snapshot.unfolded
        if answers or not stored or recalled.turn.begin is not None:
            count = len(turn.said) + len(answers) + _MARGIN
            stored = await self._onionskin.store.transcripts.read_live(
                turn.user, snapshot.session, start=max(0, snapshot.session.length - count)
            )
        return stored_progress(stored, turn.said, answers)

    def _answers(self, turn: AgentTurn) -> list[tuple[str, Message]]:
        store_text = partial(
            self._memory.privacy.answer_for_storage, private_texts=turn.private_texts
        )
        return answers_in(turn.since, store_text, at=time.time(), profile=self._memory.name)

    async def _store_unanswered(
        self, turn: AgentTurn, memory: _Memory, error: BaseException
    ) -> None:
        """Store what the user said before a failure; the failure itself is raised by the caller."""
        try:
            await self._store(replace(turn, since=()), memory)
        except OnionskinError as second:
            error.add_note(f"The user's message was not stored either: {second}")

    async def _finish(self, turn: AgentTurn) -> None:
        memory = await self._recall(turn)
        await self._store(turn, memory)
        self._turns.pop(turn.key, None)

    async def _store(self, turn: AgentTurn, memory: _Memory) -> None:
        """Store the messages of the turn that are not stored yet, in one commit."""
        at, progress = time.time(), memory.progress
        messages = progress.pending(turn.said, self._answers(turn), at=at)
        if not messages or not turn.is_stored:
            return
        recalled, embedder = memory.recalled, self._onionskin.embedder
        snapshot = recalled.turn.snapshot
        session = replace(snapshot.session, profile=self._memory.name)
        if snapshot.is_new:
            session = replace(session, title=title_of(turn.text))
        contents = [message for _, message in messages]
        vectors = (
            await embed_with_timeout(embedder, [each.spoken for each in contents], _EMBED_SECONDS)
            if embedder.local
            else [None] * len(messages)
        )
        committed = await self._onionskin.store.transcripts.commit(
            turn.user,
            session,
            [
                (replace(message, utc_offset=recalled.turn.utc_offset), vector)
                for message, vector in zip(contents, vectors, strict=True)
            ],
            create=snapshot.is_new,
            epoch=snapshot.epoch,
            nonce=nonce_of(turn.said, contents),
            trace=pack_trace(map(layer_trace, recalled.sections)),
            replaces_from=progress.replaces_from,
            turn_position=progress.position,
        )
        progress.note(messages, position=committed.position)
        session = replace(session, length=max(session.length, committed.length))
        snapshot = replace(snapshot, session=session, is_new=False)
        memory.recalled = replace(recalled, turn=replace(recalled.turn, snapshot=snapshot))
        tasks = self._memory.plan_tasks(recalled, contents[-1].content)
        hooks = self._memory.plan_hooks(turn.user, committed) if not contents[-1].calls else ()
        await self._onionskin.schedule(*tasks, *hooks)

    def _with_memories(
        self, request: ModelRequest[Any], turn: AgentTurn, recalled: RecallResult
    ) -> ModelRequest[Any]:
        privacy = self._memory.privacy
        return with_memories(
            request,
            turn,
            recalled,
            text_for_model=lambda message: prepared(message, privacy).for_model,
            only_window=self._history == "window",
        )

    def _without_private_text(self, state: MemoryState, turn: AgentTurn) -> dict[str, Any] | None:
        """An update of the agent's state that removes private text; None if there is none."""
        changed: list[HumanMessage] = []
        for message in state["messages"]:
            if message.id in turn.ids and isinstance(message, HumanMessage):
                text = prepared(message, self._memory.privacy)
                if text.has_private_text:
                    changed.append(with_text(message, text.for_storage))
        return {"messages": changed} if changed else None


def _calls_tools(response: ModelResponse[Any]) -> bool:
    """Whether the model's answer calls tools, so that the agent goes on."""
    return any(isinstance(message, AIMessage) and message.tool_calls for message in response.result)


def _with(turn: AgentTurn, response: ModelResponse[Any]) -> AgentTurn:
    """The turn with the model's answer, up to its calls."""
    answers = [message for message in response.result if isinstance(message, AIMessage)]
    return replace(turn, since=(*turn.since, *cast("list[AnyMessage]", answers)))


def _is_called_by_tool(namespace: str) -> bool:
    """Whether a run's namespace is below a node that runs tools."""
    *outer, _ = namespace.split("|")
    return any(node.partition(":")[0] == _TOOLS_NODE for node in outer)
