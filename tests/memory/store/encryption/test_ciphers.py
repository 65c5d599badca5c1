"""A sealed value opens where it was sealed, for its user, unchanged, and not otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.errors import ConfigurationError, CorruptValueError, EncryptedValueError
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.encryption.ciphers import UserCipher, is_encrypted
from onionskin.memory.store.encryption.master_keys import (
    DataKey,
    MasterKeys,
    configured_master_keys,
    generate_master_key,
    names_of,
    read_master_keys,
)
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import User
from tests.conftest import RedisClient
from tests.memory.store.encryption.encrypted_stores import (
    RECORD,
    SESSION,
    live,
    masters,
    store_with,
)

_KEY = DataKey.new()
_CIPHER = UserCipher("onionskin:{default/alice}:", _KEY)
_ALICE, _BO = User("alice"), User("bo")
_MINE, _HIS = "onionskin:{default/alice}:", "onionskin:{default/bo}:"


@given(st.text(), st.binary(min_size=1))
def test_what_is_encrypted_opens(place: str, data: bytes) -> None:
    sealed = _CIPHER.encrypt(place, data)
    assert is_encrypted(sealed)
    assert data not in sealed or len(data) < 4
    assert _CIPHER.decrypt(place, sealed) == data
    assert _CIPHER.encrypt(place, data) != sealed


@given(st.binary(min_size=1), st.integers(min_value=0), st.integers(0, 7))
def test_a_flipped_bit_is_detected(data: bytes, at: int, bit: int) -> None:
    sealed = bytearray(_CIPHER.encrypt("messages:s_1:7", data))
    sealed[at % len(sealed)] ^= 1 << bit
    strict = UserCipher("onionskin:{default/alice}:", _KEY, plaintext=False)
    with pytest.raises((CorruptValueError, EncryptedValueError)):
        strict.decrypt("messages:s_1:7", bytes(sealed))


@given(st.text(), st.text())
def test_a_value_opens_at_its_place_alone(place: str, other: str) -> None:
    sealed = _CIPHER.encrypt(place, "secret")
    if place != other:
        with pytest.raises(CorruptValueError):
            _CIPHER.decrypt(other, sealed)
    with pytest.raises(CorruptValueError):
        UserCipher("onionskin:{default/bo}:", _KEY).decrypt(place, sealed)
    with pytest.raises(EncryptedValueError):
        UserCipher("onionskin:{default/alice}:", DataKey.new()).decrypt(place, sealed)


def test_what_is_masked_differs_by_user_and_purpose() -> None:
    masks = {
        _CIPHER.blind_index("topic", "dog"),
        _CIPHER.blind_index("try", "dog"),
        _CIPHER.blind_index("topic", "cat"),
    }
    masks.add(UserCipher("onionskin:{default/alice}:", DataKey.new()).blind_index("topic", "dog"))
    assert len(masks) == 4
    assert _CIPHER.blind_index("topic", "dog") in masks


async def _swap(redis: RedisClient, kind: str, mine: str, his: str) -> None:
    """Swap two values of two users: a whole list or string, or a field of a hash."""
    if kind == "hash":
        (one, field), (two, other) = mine.split(" "), his.split(" ")
        first, second = await redis.hget(one, field), await redis.hget(two, other)
        await redis.hset(one, field, second)
        await redis.hset(two, other, first)
        return
    await redis.rename(mine, "onionskin:{default/x}:x")
    await redis.rename(his, mine)
    await redis.rename("onionskin:{default/x}:x", his)


async def _read_all(store: RedisStore, user: User) -> None:
    await store.sessions.get(user, SESSION)
    await store.transcripts.read(user, SESSION, start=0, count=9)
    await store.records.history(user, RECORD)
    changes = await store.transcripts.changes_since(user, Cursor())
    assert changes.items
    assert [record async for record in store.records.read_all(user)]


@pytest.mark.parametrize("key", ["own", "the other's too"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("list", f"messages:{SESSION}"),
        ("list", f"history:{RECORD}"),
        ("hash", f"session:{SESSION} title"),
        ("hash", f"session:{SESSION} summary"),
        ("hash", f"session:{SESSION} metadata"),
        ("hash", f"vectors {SESSION}:0"),
        ("hash", f"vectors {RECORD}"),
        ("hash", f"records {RECORD}"),
    ],
)
async def test_another_users_value_does_not_open(
    redis: RedisClient, connection: Connection, kind: str, name: str, key: str
) -> None:
    store = store_with(connection, masters("k1"))
    for user in (_ALICE, _BO):
        await live(store, user)
        await _read_all(store_with(connection, masters("k1")), user)
    await _swap(redis, kind, f"{_MINE}{name}", f"{_HIS}{name}")
    if key == "the other's too":
        await _swap(redis, "string", f"{_MINE}key", f"{_HIS}key")
    for user in (_ALICE, _BO):
        with pytest.raises((EncryptedValueError, CorruptValueError)):
            await _read_all(store_with(connection, masters("k1")), user)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (f"session:{SESSION} summary", f"session:{SESSION} extract"),
        (f"session:{SESSION} title", "session:s_0000000000000002 title"),
        (f"vectors {SESSION}:0", f"vectors {RECORD}"),
    ],
)
async def test_a_value_of_another_field_does_not_open(
    redis: RedisClient, connection: Connection, one: str, two: str
) -> None:
    store = store_with(connection, masters("k1"))
    await live(store, _ALICE)
    await _swap(redis, "hash", f"{_MINE}{one}", f"{_MINE}{two}")
    with pytest.raises(CorruptValueError):
        await _read_all(store, _ALICE)


async def test_two_positions_cannot_be_swapped(redis: RedisClient, connection: Connection) -> None:
    store = store_with(connection, masters("k1"))
    await live(store, _ALICE)
    name = f"{_MINE}messages:{SESSION}"
    first, second = await redis.lrange(name, 0, -1)
    await redis.lset(name, 0, second)
    await redis.lset(name, 1, first)
    with pytest.raises(CorruptValueError, match="belongs to another place"):
        await store.transcripts.read(_ALICE, SESSION, start=0, count=9)


async def test_plain_values_are_refused_on_request(
    redis: RedisClient, connection: Connection
) -> None:
    await live(store_with(connection, None), _ALICE)
    assert await redis.exists(f"{_MINE}key") == 0
    await _read_all(store_with(connection, masters("k1")), _ALICE)
    with pytest.raises(CorruptValueError, match="not encrypted"):
        await _read_all(store_with(connection, masters("k1"), plaintext=False), _ALICE)


def test_a_data_key_unwraps_for_its_user_under_its_master_key_alone() -> None:
    wrapped = masters("k1", "k0").wrap(_MINE, _KEY)
    assert names_of(wrapped) == (_KEY.name, "k1")
    assert masters("k2", "k1").unwrap(_MINE, wrapped) == _KEY
    with pytest.raises(EncryptedValueError, match="cannot be unwrapped"):
        masters("k1").unwrap(_HIS, wrapped)
    with pytest.raises(EncryptedValueError, match="'k1', which is not among"):
        masters("k0").unwrap(_MINE, wrapped)
    with pytest.raises(EncryptedValueError, match="another key has"):
        MasterKeys({"k1": bytes(32)}).unwrap(_MINE, wrapped)
    for changed in (b"", b"x", wrapped[:-1], _KEY.name[::-1].encode() + wrapped[16:]):
        with pytest.raises(EncryptedValueError):
            masters("k1").unwrap(_MINE, changed)


def test_master_keys_are_read_in_order() -> None:
    newer, older = generate_master_key("2026-11"), generate_master_key("2025")
    found = read_master_keys(f" {newer},\n{older}\n")
    assert (found.newest, list(found.keys)) == ("2026-11", ["2026-11", "2025"])
    assert newer.partition(":")[2] not in repr(found)
    assert configured_master_keys(None, None) is None


@pytest.mark.parametrize(
    "text", ["k1", "k1:", "k1:c2hvcnQ=", f":{'A' * 43}=", "k1:%%%", f"k/1:{'A' * 43}="]
)
def test_an_invalid_master_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read_master_keys(text)
    assert "AAAA" not in str(error.value)


def test_a_master_key_is_there_once() -> None:
    made = generate_master_key("k1")
    for twice in (f"{made},{made}", f"{made},k2:{made.partition(':')[2]}"):
        with pytest.raises(ConfigurationError, match="is repeated"):
            read_master_keys(twice)
