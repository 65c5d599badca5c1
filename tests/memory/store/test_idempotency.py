"""Tries of one request: which is the first, and what the next one finds."""

import pytest

from onionskin.memory.errors import SupersededError
from onionskin.memory.store import RedisStore
from onionskin.memory.store.idempotency import Attempt
from onionskin.memory.types.messages import Message, Session, User

_ALICE = User("alice")
_NOW = 1_700_000_000.0


async def _begin(
    store: RedisStore, nonce: str, *, retried: bool = False, now: float = _NOW, user: User = _ALICE
) -> Attempt:
    return await store.idempotency.begin_attempt(user, "asked", nonce, now=now, retried=retried)


async def _overtake(store: RedisStore, awaited: Attempt, nonce: str) -> Attempt:
    return await store.idempotency.supersede(_ALICE, "asked", awaited.nonce, nonce, now=_NOW)


async def _commit(store: RedisStore, one: Attempt) -> None:
    session = Session("s_0123456789abcdef", _NOW, _NOW)
    said = [(Message("user", "Hi.", _NOW), None), (Message("assistant", "Hello.", _NOW), None)]
    await store.transcripts.commit(_ALICE, session, said, create=True, nonce=one.nonce)


async def test_one_try_is_the_first_and_the_others_find_it(store: RedisStore) -> None:
    assert await _begin(store, "n1") == Attempt("asked", "n1", is_first=True)
    assert await _begin(store, "n2", retried=True) == Attempt("asked", "n1")
    assert await _begin(store, "n3") == Attempt("asked", "n1")
    assert (await _begin(store, "n4", user=User("bob"))).is_first
    assert (
        await store.idempotency.begin_attempt(_ALICE, "else", "n5", now=_NOW, retried=True)
    ).is_first


async def test_after_a_minute_only_a_retry_that_says_so_is_one(store: RedisStore) -> None:
    await _begin(store, "n1")
    assert (await _begin(store, "n2", now=_NOW + 61, retried=True)).nonce == "n1"
    assert await _begin(store, "n3", now=_NOW + 61) == Attempt("asked", "n3", is_first=True)


async def test_a_delivered_answer_is_found_by_retries_alone(store: RedisStore) -> None:
    first = await _begin(store, "n1")
    await store.idempotency.mark_delivered(_ALICE, first)
    assert await _begin(store, "n2", retried=True) == Attempt("asked", "n1")
    assert await _begin(store, "n3") == Attempt("asked", "n3", is_first=True)
    await store.idempotency.mark_delivered(_ALICE, first)  # too late: it is another's by now
    assert await _begin(store, "n4") == Attempt("asked", "n3")


async def test_a_try_that_its_retry_overtook_is_known_once(store: RedisStore) -> None:
    retry = await _begin(store, "n1", retried=True)
    assert retry.is_first
    await store.idempotency.mark_delivered(_ALICE, retry)
    assert await _begin(store, "n2") == Attempt("asked", "n1")
    assert await _begin(store, "n3") == Attempt("asked", "n3", is_first=True)


async def test_the_next_try_takes_the_place_of_one_that_failed(store: RedisStore) -> None:
    first = await _begin(store, "n1")
    await store.idempotency.mark_failed(_ALICE, first)
    assert await _begin(store, "n2") == Attempt("asked", "n2", is_first=True, replaces_failed=True)
    assert await _begin(store, "n3") == Attempt("asked", "n2")
    with pytest.raises(SupersededError):  # its commit was on its way for long
        await _commit(store, first)
    assert await store.idempotency.find_turn(_ALICE, "n1") is None
    await _commit(store, Attempt("asked", "n2"))
    assert await store.idempotency.find_turn(_ALICE, "n2")


async def test_one_of_those_who_wait_in_vain_takes_the_place(store: RedisStore) -> None:
    first = await _begin(store, "n1")
    assert await _overtake(store, first, "n2") == Attempt(
        "asked", "n2", is_first=True, replaces_failed=True
    )
    assert await _overtake(store, first, "n3") == Attempt("asked", "n2")
    with pytest.raises(SupersededError):
        await _commit(store, first)


async def test_a_try_that_is_stored_is_not_overtaken(store: RedisStore) -> None:
    first = await _begin(store, "n1")
    await _commit(store, first)
    assert await _overtake(store, first, "n2") == Attempt("asked", "n1")
    await store.idempotency.mark_delivered(_ALICE, first)
    assert await _overtake(store, first, "n3") == Attempt("asked", "n1")


async def test_a_try_that_is_forgotten_is_overtaken_by_a_first_one(store: RedisStore) -> None:
    assert await _overtake(store, Attempt("asked", "n0"), "n1") == Attempt(
        "asked", "n1", is_first=True
    )


async def test_a_delivered_failure_stays_a_failure(store: RedisStore) -> None:
    first = await _begin(store, "n1")
    await store.idempotency.mark_failed(_ALICE, first)
    await store.idempotency.mark_delivered(_ALICE, first)
    assert (await _begin(store, "n2", retried=True)).is_first


async def test_a_try_that_seemed_to_fail_but_was_stored_is_found(store: RedisStore) -> None:
    first = await _begin(store, "n1")
    await _commit(store, first)
    await store.idempotency.mark_failed(_ALICE, first)
    assert await _begin(store, "n2") == Attempt("asked", "n1")
    await store.idempotency.mark_delivered(_ALICE, first)
    assert await _begin(store, "n3") == Attempt("asked", "n3", is_first=True)
