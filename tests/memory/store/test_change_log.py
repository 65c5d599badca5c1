"""The change log: an index gets what it missed, once, or else reloads everything."""

from itertools import count

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onionskin.memory.store import Connection, RedisStore, keys
from onionskin.memory.types.change_log import Changes, Cursor, DropSession, Put
from onionskin.memory.types.messages import Entry, Message, Session, User, Vector
from tests.conftest import RedisClient

_VECTOR: Vector = np.ones(4, dtype=np.float32)
_numbers = count()


async def _store(
    store: RedisStore, user: User, session_id: str = "s_1", *, messages: int = 2
) -> None:
    said = [(Message("user", f"message {number}", 1.0), None) for number in range(messages)]
    await store.transcripts.commit(user, Session(session_id, 1.0, 1.0), said, create=True)


def _ids(changes: Changes) -> list[str]:
    return [entry.id for item in changes.items if isinstance(item, Put) for entry in item.entries]


async def test_a_view_that_fell_off_the_trimmed_log_reloads(
    connection: Connection, user: User, redis: RedisClient
) -> None:
    store = RedisStore(connection, embedder_tag="x", log_length=10)
    await _store(store, user)
    begun = (await store.transcripts.changes_since(user, Cursor())).cursor
    for _ in range(250):
        await _store(store, user)
    assert await redis.xlen(f"{keys.prefix(user)}log") <= 110  # whole nodes of 100 are trimmed
    for lost in (begun, Cursor()):
        changes = await store.transcripts.changes_since(user, lost)
        assert changes.reload
        assert changes.items == ()
        assert changes.cursor == Cursor(begun.epoch, 251)
    near = await store.transcripts.changes_since(user, Cursor(begun.epoch, 249))
    assert not near.reload
    assert _ids(near) == ["s_1:498", "s_1:499", "s_1:500", "s_1:501"]


async def test_a_view_ahead_of_the_log_reloads(store: RedisStore, user: User) -> None:
    """A failover can lose what the old primary had logged, and a view had read."""
    await _store(store, user)
    read = (await store.transcripts.changes_since(user, Cursor())).cursor
    changes = await store.transcripts.changes_since(user, Cursor(read.epoch, read.sequence + 3))
    assert changes.reload
    assert changes.cursor == read


async def test_what_one_snapshot_cannot_hold_is_caught_up_without_gap_or_repeat(
    store: RedisStore, user: User
) -> None:
    for _ in range(7):
        await _store(store, user, messages=400)
    changes = (await store.transcripts.load_turn(user, now=1.0, since=Cursor())).changes
    assert changes
    assert changes.more
    seen = _ids(changes)
    while changes.more:
        changes = await store.transcripts.changes_since(user, changes.cursor)
        seen += _ids(changes)
    assert seen == [f"s_1:{position}" for position in range(2800)]


async def test_a_commit_of_any_size_can_be_read_by_views(store: RedisStore, user: User) -> None:
    await _store(store, user, messages=9000)
    assert len(_ids(await store.transcripts.changes_since(user, Cursor()))) == 9000


async def test_an_erased_user_begins_a_new_epoch(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    for _ in range(3):
        await _store(store, user)
    old = (await store.transcripts.changes_since(user, Cursor())).cursor
    await redis.delete(*[key async for key in redis.scan_iter("*")])
    erased = await store.transcripts.changes_since(user, old)
    assert (erased.cursor, erased.items) == (Cursor(), ())
    for _ in range(4):
        await _store(store, user, "s_2")
    anew = await store.transcripts.changes_since(user, old)
    assert anew.cursor.epoch not in {"", old.epoch}
    assert _ids(anew) == [f"s_2:{position}" for position in range(8)]


async def test_vectors_that_come_later_are_logged_and_none_for_what_is_gone(
    store: RedisStore, user: User
) -> None:
    for session_id in ("s_1", "s_2"):
        await _store(store, user, session_id)
    read = (await store.transcripts.changes_since(user, Cursor())).cursor
    await store.sessions.delete(user, "s_2")
    message = Message("user", "", 1.0)
    wanted = [Entry("s_1", 1, message), Entry("s_1", 2, message), Entry("s_2", 0, message)]
    assert await store.transcripts.save_vectors(user, [(entry, _VECTOR) for entry in wanted]) == 1
    dropped, put = (await store.transcripts.changes_since(user, read)).items
    assert dropped == DropSession("s_2")
    assert isinstance(put, Put)
    (entry,) = put.entries
    assert entry.id == "s_1:1"
    assert entry.vector is not None
    assert entry.vector.tolist() == [1.0] * 4


_sessions = st.sampled_from(["s_1", "s_2", "s_3"])
_step = st.tuples(st.sampled_from(["say", "say", "drop", "embed", "read"]), _sessions)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(_step, max_size=30))
async def test_a_view_kept_by_the_log_holds_what_reading_everything_gives(
    store: RedisStore, steps: list[tuple[str, str]]
) -> None:
    user, cursor = User(f"user {next(_numbers)}"), Cursor()
    view: dict[str, tuple[Message, bool]] = {}
    for number, (kind, session_id) in enumerate([*steps, ("read", "")]):
        if kind == "say":
            said = [(Message(role, f"{number}", 1.0), None) for role in ("user", "assistant")]
            await store.transcripts.commit(user, Session(session_id, 1.0, 1.0), said, create=True)
        elif kind == "drop" and any(one.startswith(session_id) for one in await _all(store, user)):
            await store.sessions.delete(user, session_id)
        elif kind == "embed":
            entry = Entry(session_id, 0, Message("user", "", 1.0))
            await store.transcripts.save_vectors(user, [(entry, _VECTOR)])
        elif kind == "read":
            changes = await store.transcripts.changes_since(user, cursor)
            assert not changes.reload
            for item in changes.items:
                if isinstance(item, DropSession):
                    view = {one: view[one] for one in view if not one.startswith(item.session_id)}
                elif isinstance(item, Put):
                    view |= {one.id: (one.message, one.vector is not None) for one in item.entries}
            cursor = changes.cursor
            assert view == await _all(store, user)


async def _all(store: RedisStore, user: User) -> dict[str, tuple[Message, bool]]:
    return {
        entry.id: (entry.message, entry.vector is not None)
        async for page in store.transcripts.read_all(user)
        for entry in page
    }
