"""Folding is compare-and-set: of all who folded what they read, the first one counts."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Message, Session, SummaryState, User

_LENGTH = 6
_SESSION = Session("s_1", 1.0, 1.0)


async def _begin(store: RedisStore, user: User) -> None:
    said = [(Message("user", str(number), 1.0), None) for number in range(_LENGTH)]
    await store.transcripts.commit(user, _SESSION, said, create=True)


async def test_of_many_folders_at_once_exactly_one_wins(store: RedisStore, user: User) -> None:
    await _begin(store, user)
    folds = [SummaryState(1 + number % _LENGTH, 0, "", f"by {number}") for number in range(30)]
    won = await asyncio.gather(
        *(store.sessions.save_summary(user, "s_1", SummaryState(), fold) for fold in folds)
    )
    assert won.count(True) == 1
    assert (await store.sessions.get(user, "s_1")).summary_state == folds[won.index(True)]


@pytest.mark.parametrize("stale", [SummaryState(1, 2), SummaryState(2, 1), SummaryState()])
async def test_both_positions_must_stand_where_they_were_read(
    store: RedisStore, user: User, stale: SummaryState
) -> None:
    await _begin(store, user)
    stands = SummaryState(2, 2, "stands", "")
    assert await store.sessions.save_summary(user, "s_1", SummaryState(), stands)
    assert not await store.sessions.save_summary(
        user, "s_1", stale, SummaryState(3, 3, "stale", "")
    )
    assert (await store.sessions.get(user, "s_1")).summary_state == stands
    assert await store.sessions.save_summary(user, "s_1", stands, SummaryState(3, 3, "fresh", ""))


async def test_a_fold_ends_where_the_session_ends(store: RedisStore, user: User) -> None:
    await _begin(store, user)
    assert not await store.sessions.save_summary(
        user, "s_1", SummaryState(), SummaryState(_LENGTH + 1, 0, "", "beyond")
    )
    assert (await store.sessions.get(user, "s_1")).summary_state == SummaryState()
    assert await store.sessions.save_summary(
        user, "s_1", SummaryState(), SummaryState(_LENGTH, 0, "", "all")
    )


async def test_a_fold_makes_no_session(store: RedisStore, user: User) -> None:
    assert not await store.sessions.save_summary(
        user, "s_1", SummaryState(), SummaryState(0, 0, "of nothing", "")
    )
    assert [found async for found in store.sessions.all()] == []


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(upto=st.integers(0, _LENGTH), tail=st.integers(0, _LENGTH + 2), summary=st.text())
async def test_fold_and_what_is_read_unfolded_tile_the_session(
    store: RedisStore, upto: int, tail: int, summary: str
) -> None:
    user = User(f"{upto} {summary}")
    if not await store.sessions.save_summary(
        user, "s_1", SummaryState(upto, upto), SummaryState(upto, upto, summary, "")
    ):
        await _begin(store, user)
        assert await store.sessions.save_summary(
            user, "s_1", SummaryState(), SummaryState(upto, upto, summary, "")
        )
    snapshot = await store.transcripts.load_turn(user, "s_1", now=1.0, since=None, tail=tail)
    assert snapshot.session.summary_state == SummaryState(upto, upto, summary, "")
    first = max(0, _LENGTH - tail) if tail else upto
    assert [entry.position for entry in snapshot.unfolded] == list(range(first, _LENGTH))
    assert [entry.message.content for entry in snapshot.unfolded] == [
        str(position) for position in range(first, _LENGTH)
    ]
