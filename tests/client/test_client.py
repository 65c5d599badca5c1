"""Both clients on the real service: typed results, streams, the service's error codes."""

import dataclasses
import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from onionskin.client import (
    OnionskinApiError,
    OnionskinClient,
    SyncOnionskinClient,
    Token,
    UnreachableError,
    results,
)
from onionskin.client.errors import problem_of
from onionskin.client.results import Reply
from onionskin.service import schemas
from onionskin.service.chat import schemas as chat_schemas
from onionskin.service.memories import queries as memory_queries
from onionskin.service.memories import schemas as memory_schemas
from onionskin.service.sessions import append as append_schemas
from onionskin.service.sessions import schemas as session_schemas
from onionskin.service.sessions import search as search_schemas
from onionskin.service.users import schemas as user_schemas
from tests.openai_server import Fault, OpenAIServer
from tests.services import Service, running_service

_SAME: dict[type, type[BaseModel]] = {
    results.Reply: chat_schemas.ChatAnswer,
    results.LayerUse: chat_schemas.LayerUse,
    results.Recalled: chat_schemas.Recalled,
    results.Message: schemas.ChatMessage,
    results.ToolCall: schemas.ToolCallInfo,
    results.ToolResult: schemas.ToolResultInfo,
    results.PromptMessage: chat_schemas.PromptMessage,
    results.Context: chat_schemas.ContextAnswer,
    results.MessageHit: search_schemas.MessageHit,
    results.Appended: append_schemas.AppendAnswer,
    results.StoredMessage: append_schemas.StoredMessage,
    results.Usage: chat_schemas.Usage,
    results.ImportResult: user_schemas.ImportDone,
    results.ImportedSession: user_schemas.ImportedSession,
    results.Session: session_schemas.SessionInfo,
    results.Memory: memory_schemas.MemoryInfo,
    results.MemoryHit: memory_queries.MemoryHit,
    results.UserFigures: user_schemas.UserFigures,
    results.UserSummary: user_schemas.UserSummaryInfo,
    results.ErasureReceipt: user_schemas.ErasureReceipt,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("client"), ONIONSKIN_MODEL="offline") as running:
        yield running


@pytest.mark.parametrize("kind", _SAME)
def test_results_have_the_fields_of_the_api(kind: type) -> None:
    own = {one.name for one in dataclasses.fields(kind)}
    assert own == set(_SAME[kind].model_fields)


def test_both_clients_offer_the_same() -> None:
    def offered(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(one).parameters)
            for name, one in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name not in {"close", "aclose"}
        }

    assert offered(OnionskinClient) == offered(SyncOnionskinClient)


async def test_a_conversation_is_remembered_streamed_and_read_back(service: Service) -> None:
    async with OnionskinClient(service.url) as onionskin:
        reply = await onionskin.chat("ann", "My dog is called Biscuit.", profile="layered")
        assert (reply.new_session, reply.profile) == (True, "layered")
        pieces = [one async for one in onionskin.stream("ann", "What is my dog called?")]
        *tokens, whole = pieces
        assert isinstance(whole, Reply)
        assert "".join(one.text for one in tokens if isinstance(one, Token)) == whole.reply
        assert "Biscuit" in whole.reply
        assert {one.layer for one in whole.memory} == {"window", "summary", "facts", "vector"}
        page = await onionskin.messages("ann", reply.session_id, limit=3)
        assert [one.role for one in page.items] == ["user", "assistant", "user"]
        assert page.items[0].time.tzinfo is not None
        rest = await onionskin.messages("ann", reply.session_id, cursor=page.next_cursor)
        assert (len(rest.items), rest.next_cursor) == (1, None)
        assert (await onionskin.session("ann", reply.session_id)).messages == 4
        assert (await onionskin.close_session("ann", reply.session_id)).closed
        assert [one.session_id for one in (await onionskin.sessions("ann")).items] == [
            reply.session_id
        ]
        assert await onionskin.delete_session("ann", reply.session_id) == 4


async def test_conversations_are_searched_and_read_as_context(service: Service) -> None:
    async with OnionskinClient(service.url) as onionskin:
        reply = await onionskin.chat("eli", "My parrot is called Quixote.")
        context = await onionskin.context("eli", "What is my parrot called?")
        assert context.session_id == reply.session_id
        assert context.prompt[-1].content.endswith("What is my parrot called?")
        assert "Quixote" in context.text
        page = await onionskin.search(
            "eli",
            "parrot",
            role="user",
            since=datetime.now(UTC) - timedelta(hours=1),
            neighbours=1,
            include_vectors=True,
        )
        (hit,) = page.items
        assert hit.message.content == "My parrot is called Quixote."
        assert hit.message.time.tzinfo is not None
        assert [one.role for one in hit.context] == ["assistant"]
        assert hit.similarity is not None
        assert hit.vector is not None
        nothing = await onionskin.search("eli", "parrot", sessions=["s_" + "0" * 16])
        assert (nothing.items, nothing.next_cursor) == ((), None)


async def test_a_loop_of_ones_own_reads_and_appends(service: Service) -> None:
    at = datetime(2026, 11, 30, 8, tzinfo=timezone(timedelta(hours=9)))
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    async with OnionskinClient(service.url) as onionskin:
        messages = [
            {"role": "user", "content": "My owl is called Athena.", "id": "1", "time": at},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "Known."},
            {"role": "assistant", "content": "Noted.", "metadata": {"model": "own"}},
        ]
        done = await onionskin.append("fay", messages, key="once")
        assert await onionskin.append("fay", messages, key="once") == done
        assert (done.new_session, done.length) == (True, 3)
        assert [one.position for one in done.messages] == [0, 1, 2, 2]
        again = await onionskin.append("fay", messages[:1], session_id=done.session_id)
        assert again.messages[0].status == "duplicate"
        stored = (await onionskin.messages("fay", done.session_id)).items
        assert stored[0].time == at
        assert stored[0].time.utcoffset() == timedelta(hours=9)
        assert [one.name for one in stored[1].calls] == ["f"]
        assert [one.content for one in stored[2].results] == ["Known."]
        assert stored[2].metadata == {"model": "own"}
        assert "Athena" in (await onionskin.context("fay", "Who is my owl?")).text
        named = "s_00000000000000ff"
        with pytest.raises(OnionskinApiError, match="session"):
            await onionskin.append("fay", messages[:1], session_id=named)
        made = await onionskin.append("fay", messages[:1], session_id=named, create=True)
        assert made.session_id == named


async def test_memories_are_kept_found_changed_and_forgotten(service: Service) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    async with OnionskinClient(service.url) as onionskin:
        kept = await onionskin.remember("bo ?&#%", "Is allergic to nuts.")
        assert kept.kind == "fact"
        kept = await onionskin.remember("bo", "Meets Ann.", term="short", expires=until, tags=["a"])
        assert kept.expires == until
        assert kept.tags == ("a",)
        await onionskin.remember("bo", "Likes blue.", kind="preference")
        (found, *_) = await onionskin.search_memories("bo", "Whom does he meet?", top_k=1)
        assert found.memory == kept
        assert sum(found.parts.values()) == pytest.approx(found.score, abs=0.01)
        changed = await onionskin.change("bo", kept.id, pinned=True, expires=None)
        assert (changed.pinned, changed.expires, changed.revision) == (True, None, 2)
        assert await onionskin.memory("bo", kept.id) == changed
        listed = await onionskin.memories("bo", kind="preference")
        assert [one.content for one in listed.items] == ["Likes blue."]
        assert await onionskin.forget("bo", kept.id) == 1
        assert (await onionskin.figures("bo")).memories == 1


async def test_a_user_is_carried_elsewhere_and_erased(service: Service) -> None:
    async with OnionskinClient(service.url) as onionskin:
        await onionskin.chat("cy", "Hello.")
        exported = b"".join([piece async for piece in onionskin.export("cy")])
        done = await onionskin.import_lines("cy-2", exported, import_id="moving")
        assert done.messages == 2
        receipt = await onionskin.erase("cy")
        assert (receipt.user_id, receipt.messages) == ("cy", 2)
        assert (await onionskin.figures("cy")).sessions == 0


def test_the_synchronous_client_does_the_same(service: Service) -> None:
    with SyncOnionskinClient(service.url) as onionskin:
        reply = onionskin.chat("di", "My dog is called Biscuit.")
        *_, whole = onionskin.stream("di", "What is my dog called?", session_id=reply.session_id)
        assert isinstance(whole, Reply)
        assert "Biscuit" in whole.reply
        assert onionskin.session("di", reply.session_id).messages == 4
        kept = onionskin.remember("di", "Likes blue.")
        assert onionskin.search_memories("di", "colour blue")[0].memory.id == kept.id
        assert onionskin.import_lines("di-2", b"".join(onionskin.export("di"))).memories == 1
        assert onionskin.erase("di").memories == 1


async def test_errors_have_the_codes_of_the_service(service: Service) -> None:
    async with OnionskinClient(service.url) as onionskin:
        for asked, code, status in (
            (onionskin.session("ed", "s_0000000000000000"), "unknown_session", 404),
            (onionskin.memory("ed", "m_0000000000000000"), "unknown_memory", 404),
            (onionskin.chat("ed", "Hi.", profile="nothing"), "unknown_profile", 422),
            (onionskin.chat("ed", " "), "invalid_input", 422),
            (onionskin.chat("ed", "Hi.", apart_from=["mine"]), "invalid_input", 422),
        ):
            with pytest.raises(OnionskinApiError) as raised:
                await asked
            assert (raised.value.code, raised.value.status) == (code, status)
        with pytest.raises(OnionskinApiError) as raised:
            await onionskin.remember("ed", "")
        assert raised.value.errors[0]["where"] == "body.content"
        with pytest.raises(OnionskinApiError) as raised:
            [one async for one in onionskin.stream("ed", "Hi.", session_id="s_0000000000000000")]
        assert raised.value.code == "unknown_session"
        with pytest.raises(OnionskinApiError) as raised:
            [one async for one in onionskin.stream("ed", "Hi.", apart_from=["mine"])]
        assert raised.value.status == 422


async def test_a_turn_that_is_sent_again_is_stored_once(service: Service) -> None:
    async with OnionskinClient(service.url) as onionskin:
        first = await onionskin.chat("fi", "Count me once.", key="k1")
        again = await onionskin.chat("fi", "Count me once.", key="k1")
        assert first == again
        with pytest.raises(OnionskinApiError) as raised:
            await onionskin.chat("fi", "Another.", key="k1")
        assert raised.value.code == "idempotency_key_reused"


async def test_an_unreachable_service_and_a_failing_model_are_reported(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        settings: dict[str, Any] = {
            "ONIONSKIN_MODEL": "m",
            "ONIONSKIN_MODEL_BASE_URL": server.base_url,
            "ONIONSKIN_MODEL_RETRIES": "0",
        }
        with running_service(tmp_path, **settings) as service:
            async with OnionskinClient(service.url, retries=1) as onionskin:
                server.faults.append(Fault(status=400))
                with pytest.raises(OnionskinApiError) as raised:
                    await onionskin.chat("gi", "Hello.")
                assert (raised.value.code, raised.value.status) == ("model_refused", 400)
                server.faults.append(Fault(end_after_tokens=1))
                with pytest.raises(OnionskinApiError):
                    [one async for one in onionskin.stream("gi", "Hello there, you.")]
                assert (await onionskin.figures("gi")).messages == 3
                server.faults.append(Fault(status=429, retry_after=timedelta(seconds=1)))
                assert (await onionskin.chat("gi", "Hello.")).turn_id  # waited, and sent again
                service.kill()
                service.stop_redis()
                with pytest.raises(UnreachableError) as away:
                    await onionskin.chat("gi", "Hello.")
                assert (away.value.code, away.value.status) == ("unreachable", 0)


def test_answers_of_another_service_are_reported() -> None:
    error = problem_of(502, None, "7")
    assert (error.code, error.retry_after) == ("unknown", timedelta(seconds=7))
    assert str(error) == "The service answered 502."
