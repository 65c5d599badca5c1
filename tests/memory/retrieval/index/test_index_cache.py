"""Workers' indexes: caches of Redis that catch up, and can be thrown away at any time."""

import secrets

from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import Connection, RedisStore, entries_of
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Message, Session, User
from tests.conftest import RedisClient, make_views


async def _say(store: RedisStore, embedder: StaticEmbedder, user: User, *texts: str) -> str:
    session = Session(f"s_{secrets.token_hex(8)}", 1000.0, 1000.0)
    vectors = await embedder.embed(texts)
    pairs = [
        (Message("user", text, 1000.0), vector) for text, vector in zip(texts, vectors, strict=True)
    ]
    await store.transcripts.commit(user, session, pairs, create=True)
    return session.id


async def _found(store: RedisStore, views: IndexCache, user: User, query: str) -> list[str]:
    snapshot = await store.transcripts.load_turn(user, now=1001.0, since=views.cursor(user))
    assert snapshot.changes
    index = (await views.catch_up(user, snapshot.changes)).index
    return [hit.entry.message.content for hit in index.search(query, None, top_k=3)]


async def test_a_worker_sees_what_another_stored(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    one, two = make_views(store), make_views(store)
    await _say(store, embedder, user, "The key is under the mat.", "Something else.")
    assert (await _found(store, one, user, "key"))[0] == "The key is under the mat."
    await _say(store, embedder, user, "The key is now in the drawer.")
    for views in (one, two):
        found = await _found(store, views, user, "key")
        assert set(found[:2]) == {"The key is now in the drawer.", "The key is under the mat."}


async def test_a_deleted_session_is_gone_from_every_view(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    one, two = make_views(store), make_views(store)
    session_id = await _say(store, embedder, user, "The code is 4711.", "Something else.")
    await _say(store, embedder, user, "Another thing.", "And another.")
    assert await _found(store, one, user, "code")
    await store.sessions.delete(user, session_id)
    for views in (one, two):
        assert await _found(store, views, user, "code") == []


async def test_an_index_that_fell_off_the_log_is_rebuilt(
    connection: Connection, embedder: StaticEmbedder, user: User
) -> None:
    store = RedisStore(connection, embedder_tag=embedder.tag, log_length=1)
    old = make_views(store)
    await _say(store, embedder, user, "The very first words.", "Something else.")
    assert await _found(store, old, user, "first")
    for number in range(250):  # the log is trimmed in whole nodes of a hundred
        await _say(store, embedder, user, f"Filler number {number}.")
    await _say(store, embedder, user, "The very last words.")
    for views in (old, make_views(store)):
        found = await _found(store, views, user, "words")
        assert set(found[:2]) == {"The very first words.", "The very last words."}
        assert (await _found(store, views, user, "last"))[0] == "The very last words."


async def test_a_long_history_is_caught_up_in_several_reads(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    for number in range(12):
        await _say(store, embedder, user, *(f"Line {number} {item}." for item in range(200)))
    await _say(store, embedder, user, "A needle in all that hay.")
    views = make_views(store)
    assert await _found(store, views, user, "needle") == ["A needle in all that hay."]
    snapshot = await store.transcripts.load_turn(user, now=1001.0, since=views.cursor(user))
    assert snapshot.changes
    assert len((await views.catch_up(user, snapshot.changes)).index) == 2401


async def test_an_erased_user_starts_again_from_nothing(
    store: RedisStore, embedder: StaticEmbedder, user: User, redis: RedisClient
) -> None:
    views = make_views(store)
    for number in range(5):
        await _say(store, embedder, user, f"A secret {number}.", "Something else.")
    assert await _found(store, views, user, "secret")
    await redis.flushall()
    assert await _found(store, views, user, "secret") == []
    for number in range(7):
        await _say(store, embedder, user, f"Harmless {number}.", "Something else.")
    assert await _found(store, views, user, "secret") == []
    assert len(await _found(store, views, user, "harmless")) == 3


async def test_the_least_recently_used_view_goes_first(
    store: RedisStore, embedder: StaticEmbedder
) -> None:
    users = [User(f"user-{number}") for number in range(3)]
    for user in users:
        await _say(store, embedder, user, "One line.", "Another line.")
    measured = make_views(store)
    await _found(store, measured, users[0], "line")
    views = make_views(store, max_bytes=measured.cached_bytes * 5 // 2)
    for user in users:
        await _found(store, views, user, "line")
    assert views.cursor(users[0]).sequence == 0
    assert views.cursor(users[1]).sequence == views.cursor(users[2]).sequence == 1
    assert len(await _found(store, views, users[0], "line")) == 2


async def test_users_do_not_find_each_other(
    store: RedisStore, embedder: StaticEmbedder, views: IndexCache
) -> None:
    await _say(store, embedder, User("a"), "Only a knows this.", "Filler.")
    await _say(store, embedder, User("a", tenant="other"), "Another tenant.", "Filler.")
    assert await _found(store, views, User("a", tenant="other"), "knows") == []
    assert await _found(store, views, User("b"), "knows") == []


async def test_a_view_of_an_erased_user_is_dropped_though_nobody_asks_for_it(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    views, stays = make_views(store), User("stays")
    for one in (user, stays):
        await _say(store, embedder, one, "The code is 4711.")
        assert await _found(store, views, one, "code")
    await store.deletion.erase_user(user)
    assert views.cached_entries == 2
    views.forget(await store.aof_rewrite.erased_epochs())
    assert views.cached_entries == 1
    assert views.cursor(user) == Cursor()
    assert await _found(store, views, stays, "code")


async def test_a_worker_takes_in_what_it_wrote_without_reading_it_back(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    views = make_views(store)
    await _say(store, embedder, user, "Something else.")
    await _found(store, views, user, "key")
    view = await views.refresh(user)
    message = Message("user", "The key is under the mat.", 1000.0)
    session = Session("s_0000000000000001", 1000.0, 1000.0)
    committed = await store.transcripts.commit(user, session, [(message, None)], create=True)
    stored = entries_of(committed, [(message, None)])
    views.append_committed(user, Cursor(view.cursor.epoch, committed.sequence), stored)
    snapshot = await store.transcripts.load_turn(user, now=1001.0, since=views.cursor(user))
    assert snapshot.changes
    assert not snapshot.changes.items
    assert view.index.search("key", None, top_k=1)[0].entry.message == message
    await views.catch_up(user, snapshot.changes)
    assert views.peek(user) is view


async def test_what_a_worker_wrote_behind_something_that_it_has_not_read_is_read_with_it(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    views = make_views(store)
    await _say(store, embedder, user, "Something else.")
    epoch = (await views.refresh(user)).cursor.epoch
    await _say(store, embedder, user, "Of another worker.")
    message = Message("user", "The key is under the mat.", 1000.0)
    session = Session("s_0000000000000001", 1000.0, 1000.0)
    committed = await store.transcripts.commit(user, session, [(message, None)], create=True)
    views.append_committed(
        user, Cursor(epoch, committed.sequence), entries_of(committed, [(message, None)])
    )
    assert views.cursor(user).sequence == committed.sequence - 2
    assert await _found(store, views, user, "worker") == ["Of another worker."]
    assert views.peek(user) is None
    assert await _found(store, views, user, "key") == ["The key is under the mat."]
