"""The chain is a Runnable like any other: composed, configured, batched and streamed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import RunnableLambda

from onionskin.chains.conversation import ConversationChain
from onionskin.chains.models.offline import OfflineChatModel
from onionskin.chains.turn import TurnReply, TurnRequest
from onionskin.memory.langchain.client import Onionskin, onionskin_in_thread, open_onionskin
from onionskin.memory.types.messages import User
from tests.conftest import RedisClient


class _CallRecorder(AsyncCallbackHandler):
    """Records the names and tags of runs."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, tuple[str, ...]]] = []

    async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self.runs.append((kwargs.get("name") or "", tuple(kwargs.get("tags") or ())))

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.runs.append(("model", ()))


@pytest.fixture
async def chain(redis: RedisClient, redis_url: str) -> Any:
    assert redis
    async with open_onionskin(redis_url) as onionskin:
        yield ConversationChain(onionskin.memories, OfflineChatModel())


@pytest.fixture
def sync_onionskin(redis: RedisClient, redis_url: str) -> Iterator[Onionskin]:
    assert redis
    with onionskin_in_thread(redis_url) as opened:
        yield opened


def _turn(text: str, user: str = "alice") -> TurnRequest:
    return TurnRequest(User(user), text)


def _text(reply: TurnReply) -> str:
    return reply.reply


async def test_it_is_composed_configured_and_observed(chain: ConversationChain) -> None:
    recorder = _CallRecorder()
    memory = chain.with_config(run_name="memory", tags=["mine"])
    whole = RunnableLambda(_turn) | memory | RunnableLambda(_text)
    await whole.ainvoke("My dog is called Biscuit.", {"callbacks": [recorder]})
    assert "Biscuit" in await whole.ainvoke("What is my dog called?")
    names = [name for name, _ in recorder.runs]
    assert names.index("memory") < names.index("model")
    assert "mine" in dict(recorder.runs)["memory"]


async def test_turns_of_several_users_are_batched(chain: ConversationChain) -> None:
    turns = [_turn(f"I am {name}.", name) for name in ("ann", "bo", "cy")]
    replies = await chain.abatch(turns, {"max_concurrency": 2})
    assert len({reply.session_id for reply in replies}) == 3
    assert all(reply.turn_id for reply in replies)
    results = [result async for result in chain.abatch_as_completed(turns[:2])]
    assert {index for index, _ in results} == {0, 1}


async def test_pieces_of_a_stream_add_up(chain: ConversationChain) -> None:
    pieces = [piece async for piece in chain.astream(_turn("Hello."))]
    assert len(pieces) > 3
    whole = sum(pieces, TurnReply())
    assert whole.turn_id
    assert whole.reply.startswith("Noted.")
    with pytest.raises(TypeError, match="ainvoke"):
        chain.invoke(_turn("Hello."))


def test_it_works_without_an_event_loop(sync_onionskin: Onionskin) -> None:
    chain = ConversationChain(
        sync_onionskin.memories, OfflineChatModel(), event_loop=sync_onionskin.event_loop
    )
    assert chain.invoke(_turn("My dog is called Biscuit.")).turn_id
    *_, answer = chain.batch([_turn("Hi.", "bo"), _turn("What is my dog called?")])
    assert "Biscuit" in answer.reply
    assert sum(chain.stream(_turn("Bye.")), TurnReply()).turn_id


def test_a_stream_that_is_closed_before_its_answer_keeps_the_message(
    sync_onionskin: Onionskin,
) -> None:
    chain = ConversationChain(
        sync_onionskin.memories, OfflineChatModel(), event_loop=sync_onionskin.event_loop
    )
    session_id = chain.invoke(_turn("Hello.")).session_id
    pieces: Any = chain.stream(_turn("Never mind."))
    assert next(pieces).session_id == session_id
    pieces.close()
    session = sync_onionskin.event_loop.run_blocking(
        sync_onionskin.store.sessions.get(User("alice"), session_id)
    )
    assert session.length == 3
    assert chain.invoke(replace(_turn("Now."), on_conflict="reject")).turn_id
