"""Extraction with a model that returns bad data, fails, or has no structured output."""

import json
from typing import Any

import pytest

from onionskin.chains.errors import ModelError
from onionskin.chains.extractor import Extractor
from onionskin.chains.generation import Generator, TimedModel
from onionskin.chains.models.offline import OfflineChatModel
from onionskin.memory.records.consolidation import RecordConsolidator
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import RedisStore
from tests.chains.scripted_extractor import POLICY, Notebook, not_counted, note
from tests.openai_server import Fault


async def test_the_model_cannot_replace_pinned_records_and_rules(notebook: Notebook) -> None:
    await notebook.memories.create(
        notebook.user,
        [
            {"content": "Lives in Porto.", "pinned": True},
            {"content": "Never speak of Lyon.", "kind": "rule"},
        ],
    )
    await notebook.say("I live in Lyon now, not Porto.")
    await notebook.extract(note(1, "Lives in Lyon.", replaces=[1, 2]))
    records = await notebook.records()
    assert len(records) == 3
    assert all(record.valid_to is None for record in records.values())


@pytest.mark.parametrize(
    "bad",
    [
        note(9, "From no line."),
        note(0, "From line nought."),
        note(1, ""),
        note(1, "x" * 301),
        note(1, "NUL \0."),
        note(1, "Of no kind.", kind="opinion"),
        note(1, "Too important.", importance=7),
        note(1, "Same as nothing.", same_as=3),
        note(1, "Against nothing.", replaces=[5]),
        note(1, "Живёт в Порту."),
        "no note at all",
    ],
)
async def test_unusable_records_are_counted_and_the_others_are_stored(
    notebook: Notebook, store: RedisStore, bad: Any
) -> None:
    await notebook.say("I live in Porto.")
    await notebook.extract(bad, note(1, "Lives in Porto."))
    assert list(await notebook.records()) == ["Lives in Porto."]
    assert (await store.users.stats(notebook.user)).extraction == {"drawn": 1, "useless": 1}


@pytest.mark.parametrize(
    "answer", ["I would rather not.", '{"notes": []}', "[1, 2]", '{"memories"']
)
async def test_malformed_data_is_requested_once_more_then_skipped_and_counted(
    notebook: Notebook, store: RedisStore, answer: str
) -> None:
    await notebook.say("I live in Porto.")
    calls = len(notebook.server.requests)
    notebook.server.reply = lambda _: answer
    session_id, user = notebook.session_id, notebook.user
    assert await notebook.extractor.extract(user, session_id, POLICY, final=True) == 1
    assert len(notebook.server.requests) == calls + 2
    assert notebook.outcomes == ["malformed"]
    assert (await store.users.stats(user)).extraction == {"malformed": 1, "useless": 0}
    assert (await store.sessions.get(user, session_id)).length == 2


async def test_an_empty_list_is_counted(notebook: Notebook) -> None:
    await notebook.say("Hm.")
    await notebook.extract()
    assert notebook.outcomes == ["empty"]


async def test_a_model_that_fails_leaves_the_lines_for_later(notebook: Notebook) -> None:
    await notebook.say("I live in Porto.")
    notebook.server.faults.append(Fault(status=500))
    with pytest.raises(ModelError):
        await notebook.extract()
    assert await notebook.extract(note(1, "Lives in Porto.")) == 1
    assert list(await notebook.records()) == ["Lives in Porto."]


async def test_a_user_at_the_limit_is_skipped_and_counted(notebook: Notebook) -> None:
    await notebook.memories.create(notebook.user, [{"content": f"fact {n}"} for n in range(20)])
    await notebook.say("I live in Porto.")
    await notebook.extract(note(1, "Lives in Porto."))
    assert len(await notebook.records()) == 20
    assert notebook.outcomes == ["full"]


async def test_the_offline_model_does_not_extract(
    store: RedisStore, embedder: StaticEmbedder, notebook: Notebook
) -> None:
    consolidator = RecordConsolidator(
        store, notebook.memories, embedder, embed_seconds=2.0, limit=0
    )
    extractor = Extractor(
        store,
        consolidator,
        Generator(TimedModel(OfflineChatModel())),
        on_batch=notebook.outcomes.append,
        on_usage=not_counted,
    )
    await notebook.say("I live in Porto.")
    assert not extractor.is_supported
    assert await extractor.extract(notebook.user, notebook.session_id, POLICY, final=True) == 0
    assert notebook.outcomes == []


@pytest.mark.parametrize(
    "wrapped",
    [
        "<think>\nThey say {{where}} they live.\n</think>\n\n{}",
        "<think>\nHm.\n</think>\n```json\n{}\n```",
        "Here are the memories:\n```json\n{}\n```\nLet me know!",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{}",
        "[THINK]Hm.[/THINK]{}",
    ],
)
async def test_records_are_found_beside_reasoning_and_introductions(
    notebook: Notebook, wrapped: str
) -> None:
    await notebook.say("I live in Porto.")
    data = json.dumps({"memories": [note(1, "Lives in Porto.")]})
    notebook.server.reply = lambda _: wrapped.replace("{}", data)
    session_id = notebook.session_id
    assert await notebook.extractor.extract(notebook.user, session_id, POLICY, final=True) == 1
    assert list(await notebook.records()) == ["Lives in Porto."]
    assert notebook.outcomes == ["drawn"]


@pytest.mark.parametrize("answer", ["I'm sorry, I can't help with that.", "<think>Hm. They"])
async def test_a_refusal_to_extract_is_malformed_and_stores_nothing(
    notebook: Notebook, answer: str
) -> None:
    await notebook.say("I live in Porto.")
    calls = len(notebook.server.requests)
    notebook.server.reply = lambda _: answer
    await notebook.extractor.extract(notebook.user, notebook.session_id, POLICY, final=True)
    assert len(notebook.server.requests) == calls + 2
    assert notebook.outcomes == ["malformed"]
    assert not await notebook.records()
