"""What goes over the wire: one command a read, one a write, and an answer that is lost on it."""

from pathlib import Path

import numpy as np

from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.commit_request import COMMIT_TURN
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Committed, Message, User
from tests.conftest import RedisClient
from tests.memory.store.tcp_proxy import relaying


async def _turn(store: RedisStore, user: User, now: float) -> Committed:
    snapshot = await store.transcripts.load_turn(user, now=now, since=Cursor())
    said = (Message("user", f"said at {now}", now), np.ones(4, dtype=np.float32))
    replied = (Message("assistant", f"replied at {now}", now), None)
    return await store.transcripts.commit(
        user, snapshot.session, [said, replied], create=snapshot.is_new
    )


async def test_a_turn_is_two_commands_however_long_the_history_is(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    for number in range(3):
        await _turn(store, user, 100_000.0 * number)
    await store.ping()  # on a connection that is there before anybody listens
    sent: list[str] = []
    async with redis.monitor() as monitor:
        await _turn(store, user, 900_000.0)
        await store.ping()
        while (seen := await monitor.next_command())["command"] != "PING":
            if seen["client_type"] != "lua":
                sent.append(seen["command"].split()[0])
    assert sent == ["EVALSHA", "EVALSHA"]


async def test_a_redis_that_forgot_the_scripts_is_taught_them_again(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    first = await _turn(store, user, 1000.0)
    await redis.script_flush()
    assert (await _turn(store, user, 1001.0)).session_id == first.session_id
    assert (await store.sessions.get(user, first.session_id)).length == 4


async def test_a_commit_whose_answer_is_lost_is_stored_once_and_answered(
    redis: RedisClient, redis_url: str, tmp_path: Path, user: User
) -> None:
    async with relaying(tmp_path / "relay.sock", redis_url) as relay:
        connection = Connection(relay.url)
        store = RedisStore(connection, embedder_tag="x")
        await _turn(store, user, 1000.0)
        relay.lose_the_answer_to(COMMIT_TURN.sha.encode())
        second = await _turn(store, user, 1001.0)
        await connection.aclose()
    assert relay.lost == 1
    assert (second.position, second.length) == (2, 4)
    plain = Connection(redis_url)
    stored = await RedisStore(plain, embedder_tag="x").transcripts.read(
        user, second.session_id, start=0, count=9
    )
    assert [entry.message.at for entry in stored] == [1000.0, 1000.0, 1001.0, 1001.0]
    assert await redis.xlen(f"onionskin:{{default/{user.id}}}:log") == 2
    await plain.aclose()
