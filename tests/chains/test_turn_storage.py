"""A turn counts however it ends: tools, refusals, stops, failures; said once, stored once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from onionskin.chains.conversation import ConversationChain
from onionskin.chains.errors import ModelError
from onionskin.chains.models.factory import ModelOptions, open_model
from onionskin.chains.turn import (
    ClientConversation,
    ClientInstructions,
    TurnReply,
    TurnRequest,
    stored_reply,
)
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RecordWrite, RedisStore
from onionskin.memory.types.messages import Entry, ToolCall, ToolResult, User
from onionskin.memory.types.records import Record
from tests.conftest import Clock, eventually
from tests.openai_server import Fault, OpenAIServer

_CALL = {
    "id": "call-7",
    "type": "function",
    "function": {"name": "flight", "arguments": '{"to": "Porto"}'},
}
_ASKED: dict[str, Any] = {"role": "user", "content": "Find me a flight to Porto."}
_CALLED: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [_CALL]}
_RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "call-7", "content": "FLIGHT-ID-77"}
_STORED_CALL = ToolCall("call-7", "flight", '{"to": "Porto"}')
_STORED_RESULT = ToolResult("call-7", "flight", "FLIGHT-ID-77")


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def chain(
    server: OpenAIServer, memory_of: Callable[[str], CombinedMemory], clock: Clock
) -> AsyncIterator[ConversationChain]:
    async with open_model(ModelOptions("test-model", server.base_url, retries=0)) as model:
        memories = {name: memory_of(name) for name in ("layered", "window", "vector", "none")}
        yield ConversationChain(memories, model, clock=clock)


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest, chain: ConversationChain) -> Callable[[TurnRequest], Any]:
    async def whole(turn: TurnRequest) -> TurnReply:
        return await chain.ainvoke(turn)

    async def streamed(turn: TurnRequest) -> TurnReply:
        reply = TurnReply()
        async for piece in chain.astream(turn):
            reply += piece
        return reply

    return whole if request.param == "whole" else streamed


async def _stored(store: RedisStore, user: User) -> list[Entry]:
    """The live messages of the user's only session."""
    (session,) = await store.sessions.list(user, after=None, count=9)
    return list(await store.transcripts.read_live(user, session))


async def _texts(store: RedisStore, user: User) -> list[str]:
    return [entry.message.content for entry in await _stored(store, user)]


def _client_turn(user: User, *messages: dict[str, Any], session_id: str | None) -> TurnRequest:
    """A turn of a client that sends the messages of the turn itself."""
    conversation = ClientConversation((), messages[0], messages[1:])
    instructions = ClientInstructions(conversation=conversation)
    return TurnRequest(
        user, messages[0]["content"], session_id, instructions=instructions, shown_from=0
    )


def _sent(server: OpenAIServer) -> list[dict[str, Any]]:
    """The messages of the last prompt."""
    return server.requests[-1].body["messages"]


async def test_an_answer_that_calls_tools_is_stored_with_its_calls_and_completed(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    server.answers.append(_CALLED)
    called = await ask(_client_turn(user, _ASKED, session_id=None))
    assert called.turn_id == f"{called.session_id}.0"
    question, answer = await _stored(store, user)
    assert question.message.content == _ASKED["content"]
    assert (answer.message.content, answer.message.calls) == ("", (_STORED_CALL,))

    server.answers.append({"content": "It is FLIGHT-ID-77."})
    turn = _client_turn(user, _ASKED, _CALLED, _RESULT, session_id=called.session_id)
    answered = await ask(turn)
    assert answered.turn_id == called.turn_id
    assert _sent(server)[-2:] == [_CALLED, _RESULT]
    assert sum(message["content"] == _ASKED["content"] for message in _sent(server)) <= 1
    entries = await _stored(store, user)
    assert [entry.message.role for entry in entries] == ["user", "assistant", "assistant"]
    assert entries[2].message.results == (_STORED_RESULT,)
    assert entries[2].message.content == "It is FLIGHT-ID-77."
    turn_stored = await store.transcripts.turn(user, called.turn_id)
    assert turn_stored.messages == tuple(entries)
    assert turn_stored.reply == entries[2]

    await ask(TurnRequest(user, "Book it.", called.session_id))
    roles = [message["role"] for message in _sent(server)]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert _sent(server)[2]["tool_calls"] == [_CALL]
    assert _sent(server)[3]["content"] == "FLIGHT-ID-77"
    assert _sent(server)[3]["tool_call_id"] == "call-7"


async def test_several_rounds_of_tools_are_one_turn(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    again: dict[str, Any] = {**_CALLED, "tool_calls": [{**_CALL, "id": "call-8"}]}
    result: dict[str, Any] = {**_RESULT, "tool_call_id": "call-8", "content": "sold out"}
    server.answers.extend([_CALLED, again, {"content": "Sold out."}])
    first = await ask(_client_turn(user, _ASKED, session_id=None))
    steps = [_ASKED, _CALLED, _RESULT]
    await ask(_client_turn(user, *steps, session_id=first.session_id))
    last = await ask(_client_turn(user, *steps, again, result, session_id=first.session_id))
    assert last.turn_id == first.turn_id
    messages = [entry.message for entry in await _stored(store, user)]
    assert [len(message.calls) for message in messages] == [0, 1, 1, 0]
    assert [len(message.results) for message in messages] == [0, 0, 1, 1]
    assert messages[3].results[0].content == "sold out"


async def test_a_continuation_of_a_turn_that_is_not_stored_stores_it_all(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    server.answers.append({"content": "It is FLIGHT-ID-77."})
    await ask(_client_turn(user, _ASKED, _CALLED, _RESULT, session_id=None))
    messages = [entry.message for entry in await _stored(store, user)]
    assert [message.role for message in messages] == ["user", "assistant", "assistant"]
    assert messages[1].calls == (_STORED_CALL,)
    assert messages[2].results == (_STORED_RESULT,)


async def test_calls_that_nobody_completes_are_shown_as_text(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, user: User
) -> None:
    server.answers.append(_CALLED)
    called = await ask(_client_turn(user, _ASKED, session_id=None))
    await ask(TurnRequest(user, "Never mind.", called.session_id))
    assert all("tool_calls" not in message for message in _sent(server))
    assert 'called flight({"to": "Porto"})' in _sent(server)[2]["content"]


async def test_a_result_that_comes_with_the_next_message_is_stored_and_shown(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    server.answers.append(_CALLED)
    called = await ask(_client_turn(user, _ASKED, session_id=None))
    booked: dict[str, Any] = {"role": "user", "content": "Book it."}
    conversation = ClientConversation((_ASKED, _CALLED, _RESULT), booked)
    instructions = ClientInstructions(conversation=conversation)
    await ask(
        TurnRequest(user, "Book it.", called.session_id, instructions=instructions, shown_from=0)
    )
    assert (await _stored(store, user))[3].message.results == (_STORED_RESULT,)
    await ask(TurnRequest(user, "Thanks.", called.session_id))
    roles = [message["role"] for message in _sent(server)]
    assert roles == ["system", "user", "assistant", "tool", "user", "assistant", "user"]


async def test_a_refusal_is_stored_as_one(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    server.answers.append({"content": None, "refusal": "I cannot help with that."})
    reply = await ask(TurnRequest(user, "Help me with something bad."))
    assert reply.reply == "I cannot help with that."
    answer = (await _stored(store, user))[1].message
    assert (answer.content, answer.refused) == ("I cannot help with that.", True)


async def test_a_failing_model_keeps_the_message_and_a_retry_does_not_repeat_it(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    server.fault = Fault(status=500)
    kept = set[str]()
    for _ in range(3):
        with pytest.raises(ModelError) as caught:
            await ask(TurnRequest(user, "My parrot is called Quixote."))
        assert caught.value.turn_id == f"{caught.value.session_id}.0"
        assert caught.value.turn_id in str(caught.value)
        kept.add(caught.value.turn_id)
    assert await _texts(store, user) == ["My parrot is called Quixote."]
    server.fault = None
    reply = await ask(TurnRequest(user, "My parrot is called Quixote."))
    assert {reply.turn_id} == kept
    texts = [message["content"] for message in _sent(server)]
    assert sum("Quixote" in text for text in texts) == 1
    assert await _texts(store, user) == ["My parrot is called Quixote.", reply.reply]


@pytest.mark.parametrize("profile", ["layered", "window", "vector", "none"])
async def test_an_unanswered_message_is_shown_in_the_next_prompt_once(
    chain: ConversationChain, server: OpenAIServer, store: RedisStore, user: User, profile: str
) -> None:
    server.fault = Fault(status=500)
    with pytest.raises(ModelError):
        await chain.ainvoke(TurnRequest(user, "My parrot is called Quixote.", profile=profile))
    server.fault = None
    await chain.ainvoke(TurnRequest(user, "What is my parrot called?", profile=profile))
    shown = json.dumps(_sent(server)).count("Quixote")
    assert shown == (0 if profile == "none" else 1)
    texts = await _texts(store, user)
    assert texts[:2] == ["My parrot is called Quixote.", "What is my parrot called?"]


async def test_an_empty_answer_keeps_the_message(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    server.reply = lambda _: ""
    with pytest.raises(ModelError):
        await ask(TurnRequest(user, "Say nothing."))
    assert await _texts(store, user) == ["Say nothing."]


async def test_a_message_whose_answer_was_stopped_is_replaced_when_it_is_sent_again(
    chain: ConversationChain, server: OpenAIServer, store: RedisStore, user: User
) -> None:
    server.reply = lambda _: "one two three four five"
    stream: Any = chain.astream(TurnRequest(user, "Count.", nonce="turn:1"))
    async for piece in stream:
        if piece.reply:
            break
    await stream.aclose()
    question, answer = await _stored(store, user)
    assert (answer.message.content, answer.message.interrupted) == ("one", True)
    assert await stored_reply(store, user, "turn:1") is None
    reply = await chain.ainvoke(TurnRequest(user, "Count.", nonce="turn:1"))
    assert await _texts(store, user) == ["Count.", "one two three four five"]
    assert json.dumps(_sent(server)).count("Count.") == 1
    found = await stored_reply(store, user, "turn:1")
    assert found is not None
    assert (found.turn_id, found.reply) == (reply.turn_id, reply.reply)
    (session,) = await store.sessions.list(user, after=None, count=9)
    assert str(session.abandoned) == "0-2"
    assert question.position == 0


@pytest.mark.parametrize("pieces", [1, 2, 3, 99])
async def test_a_stop_at_any_piece_stores_the_turn_once(
    chain: ConversationChain, store: RedisStore, user: User, pieces: int
) -> None:
    stream: Any = chain.astream(TurnRequest(user, "Tell me about it."))
    async for _ in stream:
        pieces -= 1
        if not pieces:
            break
    await stream.aclose()
    entries = await _stored(store, user)
    assert [entry.message.role for entry in entries] in (["user"], ["user", "assistant"])
    assert entries[0].message.content == "Tell me about it."


@pytest.mark.parametrize("milliseconds", range(0, 40, 4))
async def test_a_cancellation_at_any_time_after_recall_stores_the_turn_once(
    chain: ConversationChain,
    server: OpenAIServer,
    store: RedisStore,
    user: User,
    milliseconds: int,
) -> None:
    asking = asyncio.create_task(chain.ainvoke(TurnRequest(user, "Hello there.")))
    await eventually(lambda: server.requests)
    await asyncio.sleep(milliseconds / 1000)
    asking.cancel()
    await asyncio.wait({asking})
    entries = await _stored(store, user)
    assert entries[0].message.content == "Hello there."
    assert len(entries) == (1 if asking.cancelled() and len(entries) == 1 else 2)
    await chain.ainvoke(replace(TurnRequest(user, "And now?"), on_conflict="reject"))


async def test_several_messages_of_the_user_are_one_turn(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    turn = TurnRequest(user, "Where is my flat?", earlier_messages=("My flat is in Gent.",))
    reply = await ask(turn)
    assert [message["role"] for message in _sent(server)] == ["system", "user", "user"]
    assert await _texts(store, user) == ["My flat is in Gent.", "Where is my flat?", reply.reply]
    stored = await store.transcripts.turn(user, reply.turn_id)
    assert len(stored.messages) == 3
    await ask(TurnRequest(user, "Thanks."))
    assert len(await _stored(store, user)) == 5


async def test_a_turn_replaces_what_its_request_names(
    ask: Callable[[TurnRequest], Any], server: OpenAIServer, store: RedisStore, user: User
) -> None:
    first = await ask(TurnRequest(user, "My dog is called Rex."))
    await ask(TurnRequest(user, "Is Rex a good name?"))
    edited = replace(TurnRequest(user, "My dog is called Max.", first.session_id), replaces_from=0)
    await ask(edited)
    assert "Rex" not in json.dumps(_sent(server))
    await ask(TurnRequest(user, "What is my dog called?"))
    await ask(TurnRequest(user, "And in a new session?", new_session=True))
    assert "Rex" not in json.dumps(_sent(server))
    assert "Max" in json.dumps(_sent(server))
    sessions = await store.sessions.list(user, after=None, count=9)
    counts = {session.title: session.live_count for session in sessions}
    assert counts == {"And in a new session?": 2, "My dog is called Max.": 4}


async def test_memories_drawn_from_replaced_turns_alone_are_gone(
    chain: ConversationChain,
    store: RedisStore,
    views: IndexCache,
    embedder: StaticEmbedder,
    server: OpenAIServer,
    user: User,
) -> None:
    first = await chain.ainvoke(TurnRequest(user, "My dog is called Rex."))
    records = RecordService(store, views, embedder, clock=lambda: 1000.0)
    record = Record(
        "m_0123456789abcdef",
        "Has a dog called Rex.",
        "fact",
        "long",
        1000.0,
        1000.0,
        source=first.turn_id,
    )
    await store.records.write(user, [RecordWrite(record)])
    assert len(list(await records.index(user))) == 1
    edited = TurnRequest(user, "My dog is called Max.", first.session_id, replaces_from=0)
    await chain.ainvoke(edited)
    assert "Rex" not in json.dumps(_sent(server))
    await chain.ainvoke(TurnRequest(user, "What is my dog called?"))
    assert "Rex" not in json.dumps(_sent(server))
    assert list(await records.index(user)) == []
