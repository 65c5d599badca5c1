"""Drawing records from what was said: with a model that works, that lies, and that fails."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from chains.conversation import ChatTurn, ConversationChain
from chains.errors import ModelError
from chains.extractor import Extractor
from chains.models import ModelOptions, open_model
from chains.offline import OfflineChatModel
from memory.combined import CombinedMemory
from memory.extraction import ExtractionPolicy
from memory.learning import Learner
from memory.memories import Memories
from memory.reasons import reasons
from memory.recall.embedder import StaticEmbedder
from memory.recall.views import Views
from memory.records import Record
from memory.store import RedisStore
from memory.store.reading import get_session
from memory.store.users import user_stats
from memory.types import User
from tests.conftest import Clock
from tests.openai_server import Fault, OpenAIServer, Request

_POLICY = ExtractionPolicy(messages=4, batch=8)


def _note(line: int, content: str, **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "kind": "fact",
        "entities": [],
        "importance": 0.5,
        "same_as": None,
        "replaces": [],
    }
    return {"line": line, "content": content, **plain, **more}


@dataclass
class Notebook:
    """An extractor, the model behind it, and what it is to answer."""

    server: OpenAIServer
    chain: ConversationChain
    extractor: Extractor
    memories: Memories
    user: User
    outcomes: list[str]
    notes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    session_id: str = ""

    async def say(self, *texts: str) -> None:
        self.server.reply = lambda _: "I see."
        for text in texts:
            reply = await self.chain.ainvoke(ChatTurn(self.user, text, self.session_id or None))
            self.session_id = reply.session_id or self.session_id

    async def extract(self, *notes: dict[str, Any], final: bool = True) -> int:
        answer = json.dumps({"memories": notes})
        self.server.reply = lambda _: answer
        return await self.extractor.extract(self.user, self.session_id, _POLICY, final=final)

    async def records(self) -> dict[str, Record]:
        return {one.content: one for one in await self.memories.index(self.user)}

    def prompt(self) -> str:
        return "\n".join(text for _, text in self.server.requests[-1].messages)


@pytest.fixture
async def notebook(
    store: RedisStore,
    views: Views,
    embedder: StaticEmbedder,
    memory_of: Callable[[str], CombinedMemory],
    clock: Clock,
    user: User,
) -> AsyncIterator[Notebook]:
    async with (
        OpenAIServer() as server,
        open_model(ModelOptions("test-model", server.base_url, retries=0)) as model,
    ):
        memories = Memories(store, views, embedder, clock=clock)
        outcomes: list[str] = []

        async def spend(_user: User, _tokens: int) -> None:
            """Nobody counts."""

        extractor = Extractor(
            store,
            Learner(store, memories, embedder, embed_seconds=2.0, most=20),
            model,
            within=timedelta(seconds=5),
            tell=outcomes.append,
            spend=spend,
        )
        chain = ConversationChain({"window": memory_of("window")}, model, default_profile="window")
        yield Notebook(server, chain, extractor, memories, user, outcomes)


async def test_what_is_drawn_is_kept_with_its_turn(notebook: Notebook, store: RedisStore) -> None:
    await notebook.say("Hello.", "My sister Ana lives in Porto.")
    drawn = _note(3, "The user's sister Ana lives in Porto.", entities=["Ana", "Porto"])
    assert await notebook.extract(drawn, final=False) == 1
    (record,) = (await notebook.records()).values()
    assert (record.kind, record.entities, record.source) == (
        "fact",
        ("Ana", "Porto"),
        f"{notebook.session_id}.2",
    )
    why = await reasons(store, notebook.memories, notebook.user, record.id)
    (turn,) = why.turns.values()
    assert turn
    assert turn.said.message.content == "My sister Ana lives in Porto."
    assert record.valid_from == turn.said.message.at
    assert notebook.outcomes == ["drawn"]
    assert "3. [" in notebook.prompt()
    schema = notebook.server.requests[-1].body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["memories"]


async def test_nothing_is_drawn_from_twice_nor_before_it_is_due(notebook: Notebook) -> None:
    await notebook.say("I play the cello.")
    assert await notebook.extract(_note(1, "Plays the cello."), final=False) == 0
    await notebook.say("And the violin.")
    assert await notebook.extract(_note(1, "Plays the cello."), final=False) == 1
    calls = len(notebook.server.requests)
    assert await notebook.extract(_note(1, "Plays the harp.")) == 0
    assert len(notebook.server.requests) == calls
    assert list(await notebook.records()) == ["Plays the cello."]


async def test_a_repetition_confirms_and_grows_nothing(notebook: Notebook) -> None:
    await notebook.say("I like jazz.")
    await notebook.extract(_note(1, "Likes jazz.", kind="preference"))
    await notebook.say("Jazz, as I said.", "Jazz is what I like.")
    await notebook.extract(
        _note(1, "likes  JAZZ", kind="preference"),
        _note(3, "Jazz is liked by the user.", kind="preference", same_as=1),
    )
    records = await notebook.records()
    assert list(records) == ["Likes jazz."]
    record = records["Likes jazz."]
    assert record.confirmed == (f"{notebook.session_id}.2",)
    assert record.importance > 0.5


async def test_a_contradiction_supersedes_and_the_old_one_stays(
    notebook: Notebook, store: RedisStore
) -> None:
    await notebook.say("I live in Porto.")
    await notebook.extract(_note(1, "Lives in Porto."))
    await notebook.say("I have moved to Lyon.")
    await notebook.extract(_note(1, "Lives in Lyon.", replaces=[1]))
    assert "1. [" in notebook.prompt()
    assert "Lives in Porto." in notebook.prompt()
    old, new = (await notebook.records()).values()
    assert (old.content, old.superseded_by, old.valid_to) == (
        "Lives in Porto.",
        new.id,
        new.valid_from,
    )
    now = notebook.memories.clock() + 1e9
    assert not old.is_recalled(now)
    assert new.is_recalled(now)
    why = await reasons(store, notebook.memories, notebook.user, new.id)
    assert [one.id for one in why.supersedes] == [old.id]
    assert (await reasons(store, notebook.memories, notebook.user, old.id)).superseded_by == new


async def test_an_older_conversation_does_not_undo_what_is_newer(notebook: Notebook) -> None:
    await notebook.say("I live in Porto.")
    later = notebook.memories.clock() + 1e10
    (lyon,) = await notebook.memories.create(
        notebook.user, [{"content": "Lives in Lyon.", "valid_from": later}]
    )
    await notebook.extract(_note(1, "Lives in Porto.", replaces=[1]))
    records = await notebook.records()
    assert records["Lives in Lyon."] == lyon
    assert records["Lives in Porto."].valid_to == later


async def test_pins_and_rules_are_not_the_models_to_undo(notebook: Notebook) -> None:
    await notebook.memories.create(
        notebook.user,
        [
            {"content": "Lives in Porto.", "pinned": True},
            {"content": "Never speak of Lyon.", "kind": "rule"},
        ],
    )
    await notebook.say("I live in Lyon now, not Porto.")
    await notebook.extract(_note(1, "Lives in Lyon.", replaces=[1, 2]))
    records = await notebook.records()
    assert len(records) == 3
    assert all(one.valid_to is None for one in records.values())


@pytest.mark.parametrize(
    "bad",
    [
        _note(9, "From no line."),
        _note(0, "From line nought."),
        _note(1, ""),
        _note(1, "x" * 301),
        _note(1, "NUL \0."),
        _note(1, "Of no kind.", kind="opinion"),
        _note(1, "Too important.", importance=7),
        _note(1, "Same as nothing.", same_as=3),
        _note(1, "Against nothing.", replaces=[5]),
        _note(1, "Живёт в Порту."),
        "no note at all",
    ],
)
async def test_what_cannot_be_used_is_counted_and_the_rest_is_kept(
    notebook: Notebook, store: RedisStore, bad: Any
) -> None:
    await notebook.say("I live in Porto.")
    await notebook.extract(bad, _note(1, "Lives in Porto."))
    assert list(await notebook.records()) == ["Lives in Porto."]
    assert (await user_stats(store, notebook.user)).extraction == {"drawn": 1, "useless": 1}


@pytest.mark.parametrize(
    "answer", ["I would rather not.", '{"notes": []}', "[1, 2]", '{"memories"']
)
async def test_nonsense_is_asked_again_once_then_passed_over_and_counted(
    notebook: Notebook, store: RedisStore, answer: str
) -> None:
    await notebook.say("I live in Porto.")
    calls = len(notebook.server.requests)
    notebook.server.reply = lambda _: answer
    session_id, user = notebook.session_id, notebook.user
    assert await notebook.extractor.extract(user, session_id, _POLICY, final=True) == 1
    assert len(notebook.server.requests) == calls + 2
    assert notebook.outcomes == ["malformed"]
    assert (await user_stats(store, user)).extraction == {"malformed": 1, "useless": 0}
    assert (await get_session(store, user, session_id)).length == 2


async def test_an_empty_list_is_counted(notebook: Notebook) -> None:
    await notebook.say("Hm.")
    await notebook.extract()
    assert notebook.outcomes == ["empty"]


async def test_a_model_that_fails_leaves_the_lines_for_later(notebook: Notebook) -> None:
    await notebook.say("I live in Porto.")
    notebook.server.faults.append(Fault(status=500))
    with pytest.raises(ModelError):
        await notebook.extract()
    assert await notebook.extract(_note(1, "Lives in Porto.")) == 1
    assert list(await notebook.records()) == ["Lives in Porto."]


async def test_a_full_user_is_passed_over_and_counted(notebook: Notebook) -> None:
    await notebook.memories.create(notebook.user, [{"content": f"fact {n}"} for n in range(20)])
    await notebook.say("I live in Porto.")
    await notebook.extract(_note(1, "Lives in Porto."))
    assert len(await notebook.records()) == 20
    assert notebook.outcomes == ["full"]


async def test_what_was_said_in_one_language_stays_in_it(notebook: Notebook) -> None:
    await notebook.say("京都に住んでいます。", "Ich wohne in Köln.")
    await notebook.extract(_note(1, "ユーザーは京都に住んでいる。"), _note(3, "Wohnt in Köln."))
    assert list(await notebook.records()) == ["ユーザーは京都に住んでいる。", "Wohnt in Köln."]
    assert "in the language of its line" in notebook.prompt()


async def test_a_long_session_is_drawn_from_in_batches_with_the_lines_before(
    notebook: Notebook,
) -> None:
    await notebook.say(*(f"This is remark {number}." for number in range(6)))
    seen: list[str] = []

    def reply(request: Request) -> str:
        seen.append(request.messages[-1][1])
        return '{"memories": []}'

    notebook.server.reply = reply
    session_id = notebook.session_id
    assert await notebook.extractor.extract(notebook.user, session_id, _POLICY) == 2
    first, second = seen
    assert "remark 3" in first
    assert "remark 4" not in first
    before, _, new = second.partition("<new_lines>")
    assert "remark 3" in before
    assert "remark 3" not in new
    assert "remark 5" in new


async def test_the_offline_model_is_not_able(
    store: RedisStore, embedder: StaticEmbedder, notebook: Notebook
) -> None:
    async def spend(_user: User, _tokens: int) -> None:
        """Nobody counts."""

    learner = Learner(store, notebook.memories, embedder, embed_seconds=2.0, most=0)
    extractor = Extractor(
        store,
        learner,
        OfflineChatModel(),
        within=timedelta(seconds=5),
        tell=notebook.outcomes.append,
        spend=spend,
    )
    await notebook.say("I live in Porto.")
    assert not extractor.able
    assert await extractor.extract(notebook.user, notebook.session_id, _POLICY, final=True) == 0
    assert notebook.outcomes == []
