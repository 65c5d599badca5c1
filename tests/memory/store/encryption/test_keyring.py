"""A user's data key: made once, checked by every write, gone with the user."""

import asyncio

import pytest

from onionskin.memory.errors import CorruptValueError, EncryptedValueError
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.encryption.keyring import Keyring
from onionskin.memory.store.idempotency import CLAIM_KEY
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Message, Session, User
from tests.conftest import RedisClient, make_views
from tests.memory.store.encryption.encrypted_stores import SESSION, live, masters, store_with

_KEY = "onionskin:{default/alice}:key"


async def _say(store: RedisStore, user: User, text: str, now: float = 1000.0) -> str:
    snapshot = await store.transcripts.load_turn(user, now=now, since=Cursor())
    said = [(Message("user", text, now), None), (Message("assistant", "Yes.", now), None)]
    stored = await store.transcripts.commit(user, snapshot.session, said, create=snapshot.is_new)
    return stored.session_id


async def _said(store: RedisStore, user: User, session_id: str) -> list[str]:
    entries = await store.transcripts.read(user, session_id, start=0, count=99)
    return [entry.message.content for entry in entries]


async def test_who_only_reads_gets_no_data_key(
    redis: RedisClient, connection: Connection, user: User
) -> None:
    await store_with(connection, masters("k1")).transcripts.load_turn(user, now=1.0, since=Cursor())
    assert await redis.dbsize() == 0


async def test_workers_that_begin_at_once_share_a_data_key(
    connection: Connection,
) -> None:
    for number in range(20):
        user = User(f"user{number}")
        workers = [store_with(connection, masters("k1")) for _ in range(6)]
        sessions = await asyncio.gather(*(_say(one, user, "Hello.") for one in workers))
        fresh = store_with(connection, masters("k1"))
        for session_id in sessions:
            assert await _said(fresh, user, session_id) == ["Hello.", "Yes."]


async def test_a_turn_stays_two_commands_once_the_key_is_known(
    redis: RedisClient, connection: Connection, user: User
) -> None:
    store = store_with(connection, masters("k1"))
    await _say(store, user, "Hello.")
    await store.ping()  # on a connection that is there before anybody listens
    sent: list[str] = []
    async with redis.monitor() as monitor:
        await _say(store, user, "Again.")
        await _say(store_with(connection, masters("k1")), user, "Another worker's.")
        await store.ping()
        while (seen := await monitor.next_command())["command"] != "PING":
            if seen["client_type"] != "lua":
                sent.append(seen["command"].split()[0])
    assert sent == ["EVALSHA"] * 4


async def test_turns_at_once_on_one_session_open_where_they_came_to_stand(
    redis: RedisClient, connection: Connection, user: User
) -> None:
    store = store_with(connection, masters("k1"))
    session_id = await _say(store, user, "first")
    await asyncio.gather(*(_say(store, user, f"at once {number}") for number in range(12)))
    said = await _said(store, user, session_id)
    assert sorted(said[0::2]) == sorted(["first", *(f"at once {number}" for number in range(12))])
    assert await redis.llen(f"onionskin:{{default/alice}}:messages:{session_id}") == 26


async def test_an_erased_users_key_goes_and_no_worker_goes_on_with_it(
    redis: RedisClient, connection: Connection, user: User
) -> None:
    workers = [store_with(connection, masters("k1")) for _ in range(3)]
    session_id = await _say(workers[0], user, "old")
    for worker in workers:
        assert await _said(worker, user, session_id) == ["old", "Yes."]
    old_key = await redis.get(_KEY)
    old_list = await redis.dump(f"onionskin:{{default/alice}}:messages:{session_id}")
    receipt = await workers[1].deletion.erase_user(user)
    assert receipt.messages == 2
    assert not [key async for key in redis.scan_iter() if b"alice" in key]
    anew = [await _say(worker, user, "anew", now=90_000.0 * n) for n, worker in enumerate(workers)]
    new_key = await redis.get(_KEY)
    assert new_key[:16] != old_key[:16]
    for worker in (*workers, store_with(connection, masters("k1"))):
        for one in anew:
            assert "old" not in await _said(worker, user, one)
    await redis.restore("onionskin:{default/alice}:messages:s_backup", 0, old_list)
    with pytest.raises(EncryptedValueError, match="data key that no longer exists"):
        await _said(workers[0], user, "s_backup")


async def test_a_commit_under_an_erased_users_key_stores_nothing_half(
    redis: RedisClient, connection: Connection, user: User
) -> None:
    mine, others = (store_with(connection, masters("k1")) for _ in range(2))
    session = Session("s_1", 1.0, 1.0)
    said = [(Message("user", "x", 1.0), None)]
    await mine.transcripts.commit(user, session, said, create=True)
    epoch = (await mine.transcripts.load_turn(user, now=1.0, since=Cursor())).epoch
    await others.deletion.erase_user(user)
    await _say(others, user, "begun anew")
    before = await redis.dbsize()
    with pytest.raises(Exception, match="No session"):
        await mine.transcripts.commit(
            user, Session("s_2", 1.0, 1.0), said, create=True, epoch=epoch
        )
    assert await redis.dbsize() == before


@pytest.mark.parametrize("starts_again", [False, True])
async def test_a_write_under_a_key_that_no_longer_exists_is_encrypted_again(
    connection: Connection, user: User, *, starts_again: bool
) -> None:
    mine, others = (store_with(connection, masters("k1")) for _ in range(2))
    await _say(mine, user, "Hello.")
    await others.deletion.erase_user(user)
    if starts_again:
        await _say(others, user, "Begun anew.")
    said = [(Message("user", "Written without a look.", 1.0), None)]
    await mine.transcripts.commit(user, Session("s_2", 1.0, 1.0), said, create=True)
    for store in (mine, others, store_with(connection, masters("k1"))):
        assert await _said(store, user, "s_2") == ["Written without a look."]


async def test_without_its_master_key_a_user_gets_an_error_and_nothing_is_written(
    redis: RedisClient, connection: Connection, embedder: StaticEmbedder, user: User
) -> None:
    await live(store_with(connection, masters("k1")), user)
    await _say(store_with(connection, masters("k2")), User("bo"), "Hello.")
    before = {name: await redis.dump(name) async for name in redis.scan_iter()}
    for keys in (masters("k2"), None):
        store = store_with(connection, keys)
        memories = RecordService(store, make_views(store), embedder)
        with pytest.raises(EncryptedValueError):
            await store.sessions.get(user, SESSION)
        with pytest.raises(EncryptedValueError):
            await _say(store, user, "Hello.")
        if keys:
            with pytest.raises(EncryptedValueError, match="'k1', which is not among"):
                await memories.create(user, [{"content": "x"}])
            with pytest.raises(EncryptedValueError):
                await store.transcripts.commit(
                    user, Session("s_9", 1, 1), [(Message("user", "x", 1), None)], create=True
                )
    assert {name: await redis.dump(name) async for name in redis.scan_iter()} == before
    assert (await store_with(connection, masters("k2")).users.stats(user)).sessions == 3
    assert (await store_with(connection, masters("k2")).deletion.erase_user(user)).sessions == 3


async def test_topics_of_a_user_who_had_no_key_are_found_by_their_masks(
    redis: RedisClient, connection: Connection, embedder: StaticEmbedder, user: User
) -> None:
    plain, keyed = store_with(connection, None), store_with(connection, masters("k1"))
    before = RecordService(plain, make_views(plain), embedder)
    (kept,) = await before.create(user, [{"content": "A dog.", "topic": "pet"}])
    after = RecordService(keyed, make_views(keyed), embedder)
    (same,) = await after.create(user, [{"content": "A cat.", "topic": "pet"}])
    assert same.id == kept.id
    (field,) = await redis.hkeys("onionskin:{default/alice}:topics")
    assert field != b"pet"
    assert len(field) == 64


async def test_a_key_of_somebody_of_whom_nothing_is_stored_goes_in_time(
    redis: RedisClient, connection: Connection, user: User
) -> None:
    store = store_with(connection, masters("k1"))
    await store.keyring.run_write(
        user, CLAIM_KEY, lambda cipher: ("http:a", cipher.encrypt("once:http:a", b"x"), 60_000)
    )
    assert 600_000 < await redis.ttl(_KEY) <= 691_200
    await _say(store, user, "Hello.")
    assert await redis.ttl(_KEY) == -1


async def test_no_more_keys_are_cached_than_allowed(connection: Connection) -> None:
    small = RedisStore(
        connection, embedder_tag="x", keyring=Keyring(connection, masters("k1"), max_ciphers=2)
    )
    sessions = {User(f"u{n}"): await _say(small, User(f"u{n}"), f"I am {n}.") for n in range(5)}
    for number, (user, session_id) in enumerate(sessions.items()):
        assert (await _said(small, user, session_id))[0] == f"I am {number}."
    assert len(small.keyring) == 2


async def test_a_changed_value_is_an_error_and_not_what_it_was_changed_to(
    redis: RedisClient, connection: Connection, user: User
) -> None:
    store = store_with(connection, masters("k1"))
    session_id = await _say(store, user, "Hello.")
    name = f"onionskin:{{default/alice}}:messages:{session_id}"
    value = bytearray(await redis.lindex(name, 0))
    value[-1] ^= 1
    await redis.lset(name, 0, bytes(value))
    with pytest.raises(CorruptValueError, match="was changed"):
        await _said(store, user, session_id)
