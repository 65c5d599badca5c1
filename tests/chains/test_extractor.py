"""Extraction with a model that works."""

from onionskin.memory.records.provenance import find_provenance
from onionskin.memory.store import RedisStore
from tests.chains.scripted_extractor import POLICY, Notebook, note
from tests.openai_server import Request


async def test_an_extracted_record_names_its_turn(notebook: Notebook, store: RedisStore) -> None:
    await notebook.say("Hello.", "My sister Ana lives in Porto.")
    extracted = note(3, "The user's sister Ana lives in Porto.", entities=["Ana", "Porto"])
    assert await notebook.extract(extracted, final=False) == 1
    (record,) = (await notebook.records()).values()
    assert (record.kind, record.entities, record.source) == (
        "fact",
        ("Ana", "Porto"),
        f"{notebook.session_id}.2",
    )
    why = await find_provenance(store, notebook.memories, notebook.user, record.id)
    (turn,) = why.turns.values()
    assert turn
    assert turn.message.message.content == "My sister Ana lives in Porto."
    assert record.valid_from == turn.message.message.at
    assert notebook.outcomes == ["drawn"]
    assert "3. [" in notebook.prompt()
    schema = notebook.server.requests[-1].body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["memories"]


async def test_a_line_is_extracted_once_and_only_when_due(notebook: Notebook) -> None:
    await notebook.say("I play the cello.")
    assert await notebook.extract(note(1, "Plays the cello."), final=False) == 0
    await notebook.say("And the violin.")
    assert await notebook.extract(note(1, "Plays the cello."), final=False) == 1
    calls = len(notebook.server.requests)
    assert await notebook.extract(note(1, "Plays the harp.")) == 0
    assert len(notebook.server.requests) == calls
    assert list(await notebook.records()) == ["Plays the cello."]


async def test_a_repetition_confirms_a_record_and_adds_none(notebook: Notebook) -> None:
    await notebook.say("I like jazz.")
    await notebook.extract(note(1, "Likes jazz.", kind="preference"))
    await notebook.say("Jazz, as I said.", "Jazz is what I like.")
    await notebook.extract(
        note(1, "likes  JAZZ", kind="preference"),
        note(3, "Jazz is liked by the user.", kind="preference", same_as=1),
    )
    records = await notebook.records()
    assert list(records) == ["Likes jazz."]
    record = records["Likes jazz."]
    assert record.confirmed == (f"{notebook.session_id}.2",)
    assert record.importance > 0.5


async def test_a_contradiction_supersedes_the_old_record_which_stays(
    notebook: Notebook, store: RedisStore
) -> None:
    await notebook.say("I live in Porto.")
    await notebook.extract(note(1, "Lives in Porto."))
    await notebook.say("I have moved to Lyon.")
    await notebook.extract(note(1, "Lives in Lyon.", replaces=[1]))
    assert "1. [" in notebook.prompt()
    assert "Lives in Porto." in notebook.prompt()
    old, new = (await notebook.records()).values()
    assert (old.content, old.superseded_by, old.valid_to) == (
        "Lives in Porto.",
        new.id,
        new.valid_from,
    )
    now = notebook.memories.clock() + 1e9
    assert not old.is_current(now)
    assert new.is_current(now)
    why = await find_provenance(store, notebook.memories, notebook.user, new.id)
    assert [record.id for record in why.supersedes] == [old.id]
    assert (
        await find_provenance(store, notebook.memories, notebook.user, old.id)
    ).superseded_by == new


async def test_an_older_conversation_does_not_replace_a_newer_record(notebook: Notebook) -> None:
    await notebook.say("I live in Porto.")
    later = notebook.memories.clock() + 1e10
    (lyon,) = await notebook.memories.create(
        notebook.user, [{"content": "Lives in Lyon.", "valid_from": later}]
    )
    await notebook.extract(note(1, "Lives in Porto.", replaces=[1]))
    records = await notebook.records()
    assert records["Lives in Lyon."] == lyon
    assert records["Lives in Porto."].valid_to == later


async def test_a_record_keeps_the_language_of_its_line(notebook: Notebook) -> None:
    await notebook.say("京都に住んでいます。", "Ich wohne in Köln.")
    await notebook.extract(note(1, "ユーザーは京都に住んでいる。"), note(3, "Wohnt in Köln."))
    assert list(await notebook.records()) == ["ユーザーは京都に住んでいる。", "Wohnt in Köln."]
    assert "in the language of its line" in notebook.prompt()


async def test_a_long_session_is_extracted_in_batches_with_the_preceding_lines(
    notebook: Notebook,
) -> None:
    await notebook.say(*(f"This is remark {number}." for number in range(6)))
    prompts: list[str] = []

    def reply(request: Request) -> str:
        prompts.append(request.messages[-1][1])
        return '{"memories": []}'

    notebook.server.reply = reply
    session_id = notebook.session_id
    assert await notebook.extractor.extract(notebook.user, session_id, POLICY) == 2
    first, second = prompts
    assert "remark 3" in first
    assert "remark 4" not in first
    before, _, new = second.partition("<new_lines>")
    assert "remark 3" in before
    assert "remark 3" not in new
    assert "remark 5" in new
