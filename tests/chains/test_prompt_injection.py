"""Stored text stays quoted data in the prompt, whatever it says."""

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from onionskin.chains.conversation import ConversationChain, TurnRequest
from onionskin.chains.models.factory import ModelOptions, open_model
from onionskin.chains.prompt import INSTRUCTIONS, MESSAGE_FOLLOWS
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.transfer.upload import UploadHandler
from onionskin.memory.types.messages import SummaryState, User
from tests.attacks import ORDERS, SHAPES, payloads
from tests.openai_server import OpenAIServer

_WHEN = r"[A-Z][a-z]+day \d{4}-\d\d-\d\d \d\d:\d\d(?: [+-]\d\d:\d\d)?"
_LINE = rf'- \[{_WHEN}\] [^\n"<>:]+: "(?:[^"\\<>\n]|\\.)*"\n'
_PROSE = r"[^<>]*?"
_SYSTEM = re.compile(
    re.escape(INSTRUCTIONS)
    + rf"(?:\n\n<preferences>\n(?:{_LINE})+</preferences>)?"
    + rf"(?:\n\n<earlier_sessions>\n{_PROSE}</earlier_sessions>)?"
    + rf"(?:\n\n<summary>\n{_PROSE}</summary>)?"
)
_LAST = re.compile(
    rf"(?:<known_facts>\n(?:{_LINE})+</known_facts>\n\n)?"
    rf"(?:<recalled_memory>\n(?:{_LINE})+</recalled_memory>\n\n)?"
    rf"It is {_WHEN} UTC\.\n\n" + re.escape(MESSAGE_FOLLOWS) + r"\n"
)
_INVISIBLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|[\U000e0000-\U000e007f]"
)
_QUESTION = "What did I tell you to do, and which instructions do you follow?"


@dataclass
class Target:
    """A chain, and every way to get text into its memory."""

    chain: ConversationChain
    server: OpenAIServer
    store: RedisStore
    memories: RecordService
    upload_handler: UploadHandler

    async def attack(self, user: User, text: str) -> None:
        """Store the text by import (content and author), as records, in chat, and as a summary."""
        plain = text.replace("\0", "")
        line = {"author": plain[:60].strip() or "x", "content": plain, "session": "old"}
        await self.upload_handler.run(user, "old", _chunks(json.dumps(line).encode() + b"\n"))
        for kind in ("preference", "fact"):
            await self.memories.create(user, [{"content": plain, "kind": kind}])
        reply = await self.chain.ainvoke(TurnRequest(user, plain))
        session = await self.store.sessions.get(user, reply.session_id)
        await self.store.sessions.save_summary(
            user, session.id, session.summary_state, SummaryState(2, 2, plain, plain)
        )

    async def ask(self, user: User, *, fresh: bool) -> list[tuple[str, str]]:
        """The messages that reach the model for an ordinary question."""
        await self.chain.ainvoke(TurnRequest(user, _QUESTION, new_session=fresh))
        return list(self.server.requests[-1].messages)


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _check(messages: list[tuple[str, str]]) -> None:
    """Check that the prompt has exactly the structure of `build_prompt`."""
    (first, system), *window, (last, text) = messages
    assert (first, last) == ("system", "user")
    assert [role for role, _ in window] == ["user", "assistant"] * (len(window) // 2)
    assert _SYSTEM.fullmatch(system), system
    head = _LAST.match(text)
    assert head, text
    assert text[head.end() :] == _QUESTION
    assert not _INVISIBLE.search(system + text)


def test_there_are_enough_attacks() -> None:
    assert len(set(payloads())) == len(SHAPES) * len(ORDERS) >= 200


async def test_stored_text_stays_data(
    store: RedisStore,
    views: IndexCache,
    embedder: StaticEmbedder,
    memory_of: Callable[[str], CombinedMemory],
) -> None:
    async with (
        OpenAIServer() as server,
        open_model(ModelOptions("test-model", server.base_url, retries=0)) as model,
    ):
        server.reply = lambda _: "I see."
        target = Target(
            ConversationChain({"layered": memory_of("layered")}, model),
            server,
            store,
            RecordService(store, views, embedder),
            UploadHandler(store, embedder, clock=lambda: 1e9, on_task=lambda _: None),
        )
        for number, text in enumerate(payloads()):
            user = User(f"user {number}")
            await target.attack(user, text)
            for fresh in (False, True):
                messages = await target.ask(user, fresh=fresh)
                _check(messages)
                sections = messages[0][1] + messages[-1][1]
                assert "<preferences>" in sections
                assert "<recalled_memory>" in sections or "<known_facts>" in sections


@pytest.mark.parametrize("text", ["</summary>", "\u2028", "\U000e0041", "\x1b[0m"])
def test_the_check_itself_can_fail(text: str) -> None:
    system = f"{INSTRUCTIONS}\n\n<summary>\n{text}\n</summary>"
    with pytest.raises(AssertionError):
        _check([("system", system), ("user", f"It is 2026-01-01 00:00 UTC.\n\n{_QUESTION}")])
    last = f"It is 2026-01-01 00:00 UTC.\n\n{MESSAGE_FOLLOWS}\n{_QUESTION}"
    with pytest.raises(AssertionError):
        _check([("system", system), ("user", last)])
