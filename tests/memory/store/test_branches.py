"""Edits and regenerations replace: the branch they leave is kept, and seen on request."""

import random
from dataclasses import replace

import numpy as np
import pytest

from onionskin.memory.errors import InvalidInputError, UnknownSessionError
from onionskin.memory.retrieval import IndexCache
from onionskin.memory.store import RedisStore
from onionskin.memory.types.branches import Abandoned
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import (
    Committed,
    Message,
    Session,
    SummaryState,
    User,
    Vector,
)
from tests.conftest import make_views

_VECTOR: Vector = np.full(256, 1 / 16, np.float32)
_SESSION = Session("s_0123456789abcdef", created=1.0, active=1.0, title="first words")


async def _say(
    store: RedisStore, user: User, *texts: str, replaces_from: int | None = None, title: str = ""
) -> Committed:
    messages: list[tuple[Message, Vector | None]] = [
        (Message("assistant" if place % 2 else "user", text, 10.0), None)
        for place, text in enumerate(texts)
    ]
    session = replace(_SESSION, title=title) if title else _SESSION
    return await store.transcripts.commit(
        user, session, messages, create=True, replaces_from=replaces_from
    )


async def _live(store: RedisStore, user: User) -> list[str]:
    session = await store.sessions.get(user, _SESSION.id)
    entries = await store.transcripts.read_live(user, session)
    assert len(entries) == session.live_count
    return [entry.message.content for entry in entries]


async def _window(
    store: RedisStore, user: User, *, tail: int = 0, replaces_from: int | None = None
) -> list[str]:
    snapshot = await store.transcripts.load_turn(
        user, _SESSION.id, now=11.0, since=None, tail=tail, replaces_from=replaces_from
    )
    return [entry.message.content for entry in snapshot.unfolded]


async def test_an_edit_abandons_what_followed_and_keeps_it(store: RedisStore, user: User) -> None:
    await _say(store, user, "a", "b", "Rex", "hi Rex", "c", "d")
    committed = await _say(store, user, "Max", "hi Max", replaces_from=2)
    assert (committed.position, committed.length) == (6, 8)
    assert await _live(store, user) == await _window(store, user) == ["a", "b", "Max", "hi Max"]
    assert await _window(store, user, tail=3) == ["b", "Max", "hi Max"]
    session = await store.sessions.get(user, _SESSION.id)
    assert session.abandoned == Abandoned(((2, 6),))
    assert 3 in session.abandoned
    everything = await store.transcripts.read(user, _SESSION.id, start=0, count=99)
    assert [entry.message.content for entry in everything][2:6] == ["Rex", "hi Rex", "c", "d"]


async def test_a_turn_that_replaces_sees_nothing_of_what_it_replaces(
    store: RedisStore, user: User
) -> None:
    await _say(store, user, "a", "b", "Rex", "hi Rex")
    fold = SummaryState(4, 2, "a b", "Rex was mentioned")
    assert await store.sessions.save_summary(user, _SESSION.id, SummaryState(), fold)
    assert await _window(store, user) == []
    snapshot = await store.transcripts.load_turn(
        user, _SESSION.id, now=11.0, since=None, replaces_from=2
    )
    assert snapshot.session.summary_state == SummaryState(2, 2, "a b", "")
    assert snapshot.unfolded == ()
    snapshot = await store.transcripts.load_turn(
        user, _SESSION.id, now=11.0, since=None, replaces_from=1
    )
    assert snapshot.session.summary_state == SummaryState()
    assert [entry.message.content for entry in snapshot.unfolded] == ["a"]
    untouched = await store.sessions.get(user, _SESSION.id)
    assert untouched.summary_state == fold


@pytest.mark.parametrize(
    ("replaces_from", "left"),
    [(6, (4, 2, "s", "e")), (4, (4, 2, "s", "e")), (3, (2, 2, "s", "")), (1, (0, 0, "", ""))],
)
async def test_a_summary_of_a_replaced_message_is_made_again(
    store: RedisStore, user: User, replaces_from: int, left: tuple[int, int, str, str]
) -> None:
    await _say(store, user, "a", "b", "c", "d", "e", "f")
    fold = SummaryState(4, 2, "s", "e")
    assert await store.sessions.save_summary(user, _SESSION.id, SummaryState(), fold)
    await _say(store, user, "new", "answer", replaces_from=replaces_from)
    session = await store.sessions.get(user, _SESSION.id)
    assert session.summary_state == SummaryState(*left)
    assert await _live(store, user) == [*"abcdef"[:replaces_from], "new", "answer"]


async def test_a_summary_that_was_being_made_of_an_abandoned_branch_is_not_stored(
    store: RedisStore, user: User
) -> None:
    await _say(store, user, "a", "b", "c", "d")
    await _say(store, user, "new", "answer", replaces_from=2)
    fold = SummaryState(4, 4, "of a b c d", "")
    assert not await store.sessions.save_summary(user, _SESSION.id, SummaryState(), fold)
    session = await store.sessions.get(user, _SESSION.id)
    fold = SummaryState(6, 6, "of the rest", "")
    assert await store.sessions.save_summary(
        user, _SESSION.id, SummaryState(), fold, abandoned=session.abandoned
    )


async def test_earlier_sessions_carry_over_live_messages_alone(
    store: RedisStore, user: User
) -> None:
    await _say(store, user, "a", "b", "Rex", "hi Rex")
    await _say(store, user, "Max", "hi Max", replaces_from=2)
    snapshot = await store.transcripts.load_turn(user, now=11.0, since=None, fresh=True)
    tail = [entry.message.content for entry in snapshot.digests[0].tail]
    assert tail == ["a", "b", "Max", "hi Max"]


async def test_a_copy_has_the_live_messages_alone(store: RedisStore, user: User) -> None:
    await _say(store, user, "a", "b", "Rex", "hi Rex")
    await _say(store, user, "Max", "hi Max", replaces_from=2)
    session = await store.sessions.get(user, _SESSION.id)
    fold = SummaryState(5, 1, "s", "e")
    assert await store.sessions.save_summary(
        user, _SESSION.id, SummaryState(), fold, abandoned=session.abandoned
    )
    for upto, texts, state in (
        (None, ["a", "b", "Max", "hi Max"], SummaryState(3, 1, "s", "e")),
        (3, ["a", "b", "Max"], SummaryState(3, 1, "s", "e")),
        (2, ["a", "b"], SummaryState()),
    ):
        copy = await store.sessions.fork(user, _SESSION.id, now=12.0, upto=upto)
        entries = await store.transcripts.read(user, copy.id, start=0, count=9)
        assert [entry.message.content for entry in entries] == texts
        assert copy.summary_state == state
        assert not copy.abandoned


async def test_the_title_follows_an_edit_of_the_first_message_unless_somebody_gave_it(
    store: RedisStore, user: User
) -> None:
    await _say(store, user, "My dog is Rex", "hi", title="My dog is Rex")
    await _say(store, user, "My dog is Max", "hi", replaces_from=0, title="My dog is Max")
    assert (await store.sessions.get(user, _SESSION.id)).title == "My dog is Max"
    await _say(store, user, "more", "hi", replaces_from=3, title="not this")
    assert (await store.sessions.get(user, _SESSION.id)).title == "My dog is Max"
    await store.sessions.update(user, _SESSION.id, title="Dogs")
    await _say(store, user, "My dog is Pip", "hi", replaces_from=0, title="My dog is Pip")
    assert (await store.sessions.get(user, _SESSION.id)).title == "Dogs"


async def test_a_vector_that_comes_late_does_not_bring_an_abandoned_message_back(
    store: RedisStore, user: User, views: IndexCache
) -> None:
    await _say(store, user, "a", "b")
    entries = await store.transcripts.read(user, _SESSION.id, start=0, count=2)
    await _say(store, user, "c", "d", replaces_from=0)
    assert await store.transcripts.save_vectors(user, [(one, _VECTOR) for one in entries]) == 0
    cached = await views.refresh(user)
    assert sorted(entry.message.content for entry in cached.index.entries if entry) == ["c", "d"]


async def test_restoring_a_message_restores_its_branch(store: RedisStore, user: User) -> None:
    await _say(store, user, "q", "a1")
    for number in (2, 3):
        await _say(store, user, "q", f"a{number}", replaces_from=0)
    await _say(store, user, "more", "of a3")
    assert await _live(store, user) == ["q", "a3", "more", "of a3"]
    await store.branches.restore(user, _SESSION.id, 0)
    assert await _live(store, user) == ["q", "a1"]
    await _say(store, user, "more", "of a1")
    assert await _live(store, user) == ["q", "a1", "more", "of a1"]
    await store.branches.restore(user, _SESSION.id, 4)
    assert await _live(store, user) == ["q", "a3", "more", "of a3"]
    await store.branches.restore(user, _SESSION.id, 0)
    assert await _live(store, user) == ["q", "a1", "more", "of a1"]
    with pytest.raises(InvalidInputError, match="99"):
        await store.branches.restore(user, _SESSION.id, 99)
    with pytest.raises(UnknownSessionError):
        await store.branches.restore(User("bob"), _SESSION.id, 0)


async def test_statistics_count_live_messages(store: RedisStore, user: User) -> None:
    await _say(store, user, "a", "b", "c", "d")
    await _say(store, user, "e", "f", replaces_from=1)
    assert (await store.users.stats(user)).messages == 3


@pytest.mark.parametrize("seed", range(12))
async def test_every_view_agrees_with_a_tree_of_messages(
    store: RedisStore,
    user: User,
    seed: int,
) -> None:
    """Random turns, edits and restorations, against a model that is a tree and nothing else."""
    chance, followed = random.Random(seed), list[int]()
    following = make_views(store)
    head = -1

    def path(position: int) -> list[int]:
        found = list[int]()
        while position >= 0:
            found.insert(0, position)
            position = followed[position]
        return found

    for _ in range(25):
        length, live = len(followed), path(head)
        step = chance.random()
        if length and step < 0.2:
            position = chance.randrange(length)
            await store.branches.restore(user, _SESSION.id, position)
            head = max(one for one in range(length) if position in path(one))
        else:
            replaces_from = chance.randrange(length + 1) if step < 0.5 else None
            count = chance.choice((1, 2, 3))
            texts = [f"word{length + offset}" for offset in range(count)]
            await _say(store, user, *texts, replaces_from=replaces_from)
            kept = [one for one in live if replaces_from is None or one < replaces_from]
            for offset in range(count):
                followed.append(length + offset - 1 if offset else (kept[-1] if kept else -1))
            head = len(followed) - 1
        expected = [f"word{position}" for position in path(head)]
        assert await _live(store, user) == expected
        assert await _window(store, user) == expected
        assert await _window(store, user, tail=3) == expected[-3:]
        if chance.random() < 0.3:
            cached = await following.refresh(user)
            indexed = {entry.message.content for entry in cached.index.entries if entry}
            assert indexed == set(expected)
    from_log = await make_views(store).refresh(user)
    pages = [page async for page in store.transcripts.read_all(user)]
    loaded = [entry.message.content for page in pages for entry in page]
    followed_index = await following.refresh(user)
    for cached in (from_log, followed_index):
        texts = [entry.message.content for entry in cached.index.entries if entry]
        assert sorted(texts) == sorted(loaded)
        assert set(loaded) == {f"word{position}" for position in path(head)}
    assert (await store.transcripts.changes_since(user, Cursor())).items
