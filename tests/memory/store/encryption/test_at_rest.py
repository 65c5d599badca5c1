"""What lies on a disk: with master keys, nothing of what was said; without, all of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from onionskin.memory.retrieval import IndexCache
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.aof_rewrite import AofRewrite
from onionskin.memory.store.codec import unpack_vector
from onionskin.memory.store.encryption.master_keys import MasterKeys
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.memory.types.messages import User
from tests.conftest import RedisClient, make_views, plain_client
from tests.memory.store.encryption.encrypted_stores import (
    CANARIES,
    PACKED_VECTOR,
    RECORD,
    RESTORED,
    SESSION,
    TAG,
    THREAD,
    live,
    masters,
    store_with,
)

_ALL = set(CANARIES) | {"vector"}
_ALICE, _BO = User("alice"), User("bo")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A Redis of the test's own, that compresses nothing."""
    async with EmbeddedRedis(tmp_path / "redis") as started:
        client = plain_client(started.url)
        await client.config_set("rdbcompression", "no")
        await client.aclose()
        yield started


@pytest.fixture
async def connection(server: EmbeddedRedis) -> AsyncIterator[Connection]:
    opened = Connection(server.url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def redis(server: EmbeddedRedis) -> AsyncIterator[RedisClient]:
    client = plain_client(server.url)
    yield client
    await client.aclose()


def _found(data: bytes) -> set[str]:
    texts = {name for name, canary in CANARIES.items() if canary.encode() in data}
    return texts | ({"vector"} if PACKED_VECTOR in data else set())


async def _values(redis: RedisClient) -> bytes:
    """The name of every key, its DUMP, and what is in it."""
    whole: list[bytes] = []
    async for name in redis.scan_iter():
        whole += (name, await redis.dump(name))
        match (await redis.type(name)).decode():
            case "hash":
                whole += [part for pair in (await redis.hgetall(name)).items() for part in pair]
            case "list":
                whole += await redis.lrange(name, 0, -1)
            case "string":
                whole.append(await redis.get(name))
            case "set":
                whole += await redis.smembers(name)
            case "stream":
                whole.append(repr(await redis.xrange(name)).encode())
            case other:
                assert other == "zset"
    return b"\n".join(whole)


def _files(folder: Path, pattern: str) -> bytes:
    found = [path.read_bytes() for path in folder.rglob(pattern) if path.is_file()]
    assert found, pattern
    return b"\n".join(found)


async def _everywhere(
    redis: RedisClient, server: EmbeddedRedis, connection: Connection
) -> list[set[str]]:
    """What is found in the values, the append-only file, the same rewritten, and a snapshot."""
    appended = _found(_files(server.directory, "*.aof"))
    await AofRewrite(connection).run()
    await redis.save()
    return [
        _found(await _values(redis)),
        appended,
        _found(_files(server.directory, "*.aof") + _files(server.directory, "*.base.rdb")),
        _found(_files(server.directory, "dump.rdb")),
    ]


@pytest.mark.parametrize(("keys", "found"), [(None, _ALL), (masters("k1"), set[str]())])
async def test_a_disk_holds_what_was_said_only_where_nothing_is_encrypted(
    redis: RedisClient,
    server: EmbeddedRedis,
    connection: Connection,
    keys: MasterKeys | None,
    found: set[str],
) -> None:
    await live(store_with(connection, keys), _ALICE)
    *standing, appended, rewritten, snapshot = await _everywhere(redis, server, connection)
    assert appended == found
    assert [*standing, rewritten, snapshot] == [found] * 3


async def test_vectors_do_not_decode(redis: RedisClient, connection: Connection) -> None:
    await live(store_with(connection, masters("k1")), _ALICE)
    stored = await redis.hvals("onionskin:{default/alice}:vectors")
    assert len(stored) == 6
    for value in stored:
        assert unpack_vector(value, TAG) is None
        assert len(set(value[-500:])) > 100
    assert len(set(stored)) == len(stored)


async def _reads_back(store: RedisStore, user: User, fork: str) -> None:
    for session_id in (SESSION, fork):
        session = await store.sessions.get(user, session_id)
        assert session.title == CANARIES["title"]
        assert session.metadata == f'{{"note": "{CANARIES["metadata"]}"}}'
        assert (session.summary_state.summary, session.summary_state.fallback_summary) == (
            CANARIES["summary"],
            CANARIES["extract"],
        )
        said = await store.transcripts.read(user, session_id, start=0, count=9)
        assert [one.message.content for one in said] == [CANARIES["said"], CANARIES["replied"]]
    (restored,) = await store.transcripts.read(user, RESTORED, start=0, count=9)
    assert restored.message.content == CANARIES["restored"]
    turn = await store.transcripts.turn(user, f"{SESSION}.0")
    assert turn.layers
    assert turn.layers[0].text == CANARIES["shown"]
    (step,) = await store.records.history(user, RECORD)
    assert step.record.content == CANARIES["restored step"]
    records = [record async for _, record in store.records.read_all(user)]
    assert {record.content for record in records} >= {
        CANARIES["memory"],
        CANARIES["restored memory"],
    }
    row, writes = await store.langgraph_checkpoints.get(THREAD(user), None) or (None, [])
    assert row
    assert row.checkpoint == ("bytes", CANARIES["checkpoint"].encode())
    assert [one.value[1] for one in writes] == [CANARIES["write"].encode()]
    channels = await store.langgraph_checkpoints.channels(THREAD(user), [("c", "1")])
    assert channels["c", "1"][1] == CANARIES["channel"].encode()
    item = await store.langgraph_items.get(user, ("n",), "i")
    assert item
    assert (item.content.value["v"], item.began) == (CANARIES["item"], 1.0)
    views: IndexCache = make_views(store)
    view = await views.catch_up(
        user, await store.transcripts.changes_since(user, views.cursor(user))
    )
    assert (len(view.index), len(view.records)) == (5, 3)
    snapshot = await store.transcripts.load_turn(user, now=9000.0, since=views.cursor(user))
    assert {one.summary_state.summary for one in snapshot.digests} >= {CANARIES["summary"]}


async def test_plain_data_are_sealed_where_they_lie_and_read_before_and_after(
    redis: RedisClient, server: EmbeddedRedis, connection: Connection
) -> None:
    forks = {user: await live(store_with(connection, None), user) for user in (_ALICE, _BO)}
    before = await redis.hgetall("onionskin:{default/alice}:user")
    assert await redis.ttl("onionskin:{default/alice}:once:http:a") > 0
    keyed = store_with(connection, masters("k1"))
    await _reads_back(keyed, _ALICE, forks[_ALICE])
    await keyed.encryption.encrypt_existing()
    for user in (_ALICE, _BO):
        await _reads_back(store_with(connection, masters("k1")), user, forks[user])
        await _reads_back(store_with(connection, masters("k1"), plaintext=False), user, forks[user])
    found = await _everywhere(redis, server, connection)
    assert [left - {"try"} for left in (found[0], *found[2:])] == [set[str]()] * 3
    assert found[1] == _ALL
    assert (await keyed.encryption.encrypt_existing()).sealed == 0
    assert await redis.ttl("onionskin:{default/alice}:once:http:a") > 0
    assert await redis.ttl("onionskin:{default/alice}:key") == -1
    after = await redis.hgetall("onionskin:{default/alice}:user")
    assert after[b"epoch"] == before[b"epoch"]
    counted = await redis.lrange(f"onionskin:{{default/alice}}:messages:{SESSION}", 0, -1)
    counted += await redis.lrange(f"onionskin:{{default/alice}}:messages:{RESTORED}", 0, -1)
    counted += await redis.lrange(f"onionskin:{{default/alice}}:messages:{forks[_ALICE]}", 0, -1)
    counted += await redis.hvals("onionskin:{default/alice}:vectors")
    counted += await redis.hvals("onionskin:{default/alice}:records")
    assert int(after[b"bytes"]) == sum(map(len, counted))


async def test_what_encrypted_stores_keep_reads_back(connection: Connection) -> None:
    fork = await live(store_with(connection, masters("k1")), _ALICE)
    await _reads_back(store_with(connection, masters("k1"), plaintext=False), _ALICE, fork)
