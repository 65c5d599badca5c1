"""ConversationChain as a LangChain Runnable."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableLambda

from onionskin.chains.conversation import ConversationChain, TurnReply, TurnRequest
from onionskin.chains.models.factory import ModelOptions, open_model
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import InvalidInputError, MessageTooLongError, UnknownProfileError
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import User
from tests.conftest import Clock
from tests.openai_server import OpenAIServer

_PROFILES = ("layered", "window", "summary", "facts", "vector", "none")


class Recorder(AsyncCallbackHandler):
    """Records what a tracer receives."""

    def __init__(self) -> None:
        self.chains: list[UUID] = []
        self.models: list[UUID | None] = []
        self.tags: list[list[str] | None] = []

    async def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any
    ) -> None:
        self.chains.append(run_id)

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.models.append(parent_run_id)
        self.tags.append(tags)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def chain(
    server: OpenAIServer, memory_of: Callable[[str], CombinedMemory], clock: Clock
) -> AsyncIterator[ConversationChain]:
    async with open_model(ModelOptions("test-model", server.base_url, retries=0)) as model:
        memories = {name: memory_of(name) for name in _PROFILES}
        yield ConversationChain(memories, model, clock=clock, longest_message=100)


async def test_a_turn_is_answered_and_stored(
    chain: ConversationChain, store: RedisStore, user: User
) -> None:
    reply = await chain.ainvoke(TurnRequest(user, "Hello."))
    assert reply.reply
    assert reply.turn_id == f"{reply.session_id}.0"
    stored = await store.transcripts.read(user, reply.session_id, start=0, count=9)
    assert [entry.message.content for entry in stored] == ["Hello.", reply.reply]


async def test_the_pieces_of_a_stream_add_up_to_the_stored_answer(
    chain: ConversationChain, store: RedisStore, user: User
) -> None:
    pieces = [piece async for piece in chain.astream(TurnRequest(user, "Tell me a long story."))]
    whole = pieces[0]
    for piece in pieces[1:]:
        assert not whole.turn_id
        whole += piece
    assert len(pieces) > 4
    assert pieces[0].sections
    assert whole.turn_id
    assert whole.usage
    stored = await store.transcripts.read(user, whole.session_id, start=0, count=9)
    assert stored[1].message.content == whole.reply


async def test_a_client_that_disconnects_leaves_the_beginning_of_the_answer(
    chain: ConversationChain, store: RedisStore, user: User
) -> None:
    pieces = chain.astream(TurnRequest(user, "Tell me a long story."))
    session_id = beginning = ""
    async for piece in pieces:
        session_id = session_id or piece.session_id
        if beginning := piece.reply:
            break
    await pieces.aclose()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    question, answer = await store.transcripts.read(user, session_id, start=0, count=9)
    assert question.message.content == "Tell me a long story."
    assert answer.message.content == beginning
    assert answer.message.interrupted


async def test_callbacks_and_config_reach_the_model(chain: ConversationChain, user: User) -> None:
    recorder = Recorder()
    config: Any = {"callbacks": [recorder], "tags": ["mine"]}
    await chain.ainvoke(TurnRequest(user, "Hello."), config)
    _ = [piece async for piece in chain.astream(TurnRequest(user, "Again."), config)]
    assert len(recorder.chains) == 2
    assert recorder.models == recorder.chains
    assert all("mine" in (tags or []) for tags in recorder.tags)


async def test_it_composes_with_other_runnables(chain: ConversationChain, user: User) -> None:
    def shout(reply: TurnReply) -> str:
        return reply.reply.upper()

    composed = chain | RunnableLambda(shout)
    shouted = await composed.ainvoke(TurnRequest(user, "Hello.", profile="none"))
    assert shouted == "YOU SAID: HELLO."


@pytest.mark.parametrize(
    ("turn", "error"),
    [
        (TurnRequest(User("a"), "  \n"), InvalidInputError),
        (TurnRequest(User("a"), "nul \0"), InvalidInputError),
        (TurnRequest(User("a"), "x" * 101), MessageTooLongError),
        (TurnRequest(User("a"), "hi", profile="nonsense"), UnknownProfileError),
    ],
)
async def test_bad_input_is_refused_before_anything_happens(
    chain: ConversationChain, server: OpenAIServer, turn: TurnRequest, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await chain.ainvoke(turn)
    assert server.requests == []


def test_the_error_of_a_synchronous_call_names_ainvoke(
    chain: ConversationChain, user: User
) -> None:
    with pytest.raises(TypeError, match="ainvoke"):
        chain.invoke(TurnRequest(user, "Hello."))


def test_an_unknown_default_profile_fails_at_once() -> None:
    with pytest.raises(UnknownProfileError, match="nonsense"):
        ConversationChain({}, None, default_profile="nonsense")  # pyright: ignore[reportArgumentType]
