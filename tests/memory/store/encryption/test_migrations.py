"""Rotation of the master key: data keys are rewrapped, values stay, and a run may stop anywhere."""

import asyncio
import base64
import signal
import subprocess
import sys

import pytest

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.store import Connection, RedisStore, keys
from onionskin.memory.store.encryption.keyring import Keyring, MasterKeyRegistry
from onionskin.memory.store.encryption.master_keys import MasterKeys, names_of
from onionskin.memory.store.encryption.migrations import RotationProgress
from onionskin.memory.types.messages import Message, Session, User
from tests.conftest import RedisClient, repository
from tests.memory.store.encryption.encrypted_stores import TAG, masters, store_with
from tests.services import environment

_USERS = [User(f"user{number}") for number in range(40)]


async def _opened(connection: Connection, found: MasterKeys) -> RedisStore:
    keyring = await Keyring.open(connection, found)
    return RedisStore(connection, embedder_tag=TAG, keyring=keyring)


async def _begin(store: RedisStore, users: list[User]) -> None:
    for user in users:
        session = Session("s_1", 1.0, 1.0, title=f"of {user.id}")
        await store.transcripts.commit(
            user, session, [(Message("user", "x", 1.0), None)], create=True
        )


async def _wrapped_by(redis: RedisClient) -> list[str]:
    names = [name async for name in redis.scan_iter(keys.DATA_KEYS)]
    return [names_of(held)[1] for held in await redis.mget(names) if held]


async def _all_open(connection: Connection, found: MasterKeys, users: list[User]) -> None:
    store = store_with(connection, found)
    for user in users:
        assert (await store.sessions.get(user, "s_1")).title == f"of {user.id}"


async def test_after_a_rotation_the_old_master_key_can_go(
    redis: RedisClient, connection: Connection
) -> None:
    await _begin(await _opened(connection, masters("k1")), _USERS)
    values = {name: await redis.dump(name) async for name in redis.scan_iter("*:messages:*")}
    await redis.hset("onionskin:{default/user1}:import:x}:key", "lines", 1)
    with pytest.raises(ConfigurationError, match="'k1', which is not among"):
        await Keyring.open(connection, masters("k2"))
    progress: list[int] = []
    rotation = await (await _opened(connection, masters("k2", "k1"))).encryption.rotate_master_key(
        on_progress=lambda one: progress.append(one.rewrapped)
    )
    assert (rotation.rewrapped, rotation.failed, rotation.dropped) == (40, 0, ("k1",))
    assert set(progress) == set(range(1, 41))
    assert set(await _wrapped_by(redis)) == {"k2"}
    await Keyring.open(connection, masters("k2"))
    await _all_open(connection, masters("k2"), _USERS)
    assert {
        name: await redis.dump(name) async for name in redis.scan_iter("*:messages:*")
    } == values
    with pytest.raises(ConfigurationError, match="'k2', which is not among"):
        await Keyring.open(connection, masters("k1"))


async def test_turns_go_on_while_it_rotates_and_erased_users_stay_erased(
    redis: RedisClient, connection: Connection
) -> None:
    store = await _opened(connection, masters("k1"))
    await _begin(store, _USERS)
    rotating = asyncio.create_task(
        (await _opened(connection, masters("k2", "k1"))).encryption.rotate_master_key()
    )
    gone, late = _USERS[:10], [User(f"late{number}") for number in range(10)]
    for user, other in zip(gone, late, strict=True):
        await store.deletion.erase_user(user)
        await _begin(store, [other])
    await rotating
    assert await (await _opened(connection, masters("k2", "k1"))).encryption.rotate_master_key()
    assert await _wrapped_by(redis) == ["k2"] * 40
    await _all_open(connection, masters("k2"), [*_USERS[10:], *late])


async def test_a_data_key_that_does_not_open_stays_and_so_does_the_old_master_key(
    redis: RedisClient, connection: Connection
) -> None:
    await _begin(await _opened(connection, masters("k1")), _USERS[:3])
    store = await _opened(connection, masters("k2", "k1"))
    name = keys.data_key(_USERS[0])
    broken = (await redis.get(name))[:-1]
    await redis.set(name, broken)
    rotation = await store.encryption.rotate_master_key()
    assert rotation == RotationProgress(3, 2, 1, ())
    assert await redis.get(name) == broken
    with pytest.raises(ConfigurationError, match="'k1'"):
        await Keyring.open(connection, masters("k2"))
    assert await MasterKeyRegistry(connection).forget("k1")
    assert not await MasterKeyRegistry(connection).forget("k1")
    await Keyring.open(connection, masters("k2"))


async def test_a_rotation_that_is_killed_is_run_again(
    redis: RedisClient, connection: Connection, redis_url: str
) -> None:
    users = [User(f"user{number}") for number in range(1500)]
    await _begin(await _opened(connection, masters("k1")), users)
    process = await _rotate(redis_url)
    async with asyncio.timeout(60):
        while "k2" not in await _wrapped_by(redis):
            assert process.returncode is None
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    under = await _wrapped_by(redis)
    assert {"k1", "k2"} == set(under)
    await _all_open(connection, masters("k2", "k1"), users[::50])
    with pytest.raises(ConfigurationError, match="'k1'"):
        await Keyring.open(connection, masters("k2"))
    again = await _rotate(redis_url)
    shown = (await again.communicate())[0].decode()
    assert again.returncode == 0
    assert f"{under.count('k1')} data keys rewrapped" in shown
    assert "'k1' wraps no data key any more" in shown
    assert set(await _wrapped_by(redis)) == {"k2"}
    await _all_open(connection, masters("k2"), users[::50])


async def test_another_key_under_a_known_id_is_refused_at_the_start(
    redis: RedisClient, connection: Connection
) -> None:
    assert await redis.dbsize() == 0
    await Keyring.open(connection, None)
    await Keyring.open(connection, masters("k1"))
    await Keyring.open(connection, masters("k1", "unused"))
    with pytest.raises(ConfigurationError, match="differs from the one"):
        await Keyring.open(connection, MasterKeys({"k1": bytes(32)}))
    with pytest.raises(ConfigurationError, match="set ONIONSKIN_ENCRYPTION_KEYS"):
        await Keyring.open(connection, None)
    with pytest.raises(ConfigurationError, match="'k1', which is not among"):
        await Keyring.open(connection, masters("k3"))
    assert await redis.hkeys(keys.MASTER_KEY_CHECKS) == [b"k1"]


async def _rotate(url: str) -> asyncio.subprocess.Process:
    """`onionskin encryption rotate`, from k1 to k2."""
    command = (sys.executable, "-P", "-m", "onionskin.service", "encryption", "rotate")
    settings = environment(
        ONIONSKIN_REDIS_URL=url, ONIONSKIN_ENCRYPTION_KEYS=_as_setting("k2", "k1")
    )
    return await asyncio.create_subprocess_exec(
        *command, env=settings, cwd=repository(), stdout=subprocess.PIPE
    )


def _as_setting(*ids: str) -> str:
    found = masters(*ids).keys
    return ",".join(f"{one}:{base64.b64encode(found[one]).decode()}" for one in ids)
