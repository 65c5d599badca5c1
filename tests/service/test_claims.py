"""Claims on idempotency keys: kept while the request runs, and of no use to anybody else."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from onionskin.memory.store import RedisStore, StoredResponse
from onionskin.memory.types.messages import User
from onionskin.service.idempotency import Claim
from tests.conftest import RedisClient

_HOUR = timedelta(hours=1)
_FIRST = StoredResponse(b"request", token="first")
_SECOND = StoredResponse(b"request", token="second")


async def test_only_the_owner_of_a_claim_stores_a_response(store: RedisStore, user: User) -> None:
    claims = store.idempotency
    assert await claims.claim_key(user, "http:a", _FIRST, timeout=timedelta(milliseconds=1)) is None
    await asyncio.sleep(0.01)  # the claim expires while its request runs
    assert await claims.claim_key(user, "http:a", _SECOND, timeout=_HOUR) is None
    late = StoredResponse(b"request", 200, (), b"the answer of the first")
    assert not await claims.save_response(user, "http:a", late, token="first")
    assert not await claims.renew_claim(user, "http:a", "first", timeout=_HOUR)
    await claims.release_claim(user, "http:a", "first")
    outcome = StoredResponse(b"request", 200, (), b"the answer of the second")
    assert await claims.save_response(user, "http:a", outcome, token="second")
    assert await claims.claim_key(user, "http:a", _FIRST, timeout=_HOUR) == outcome
    assert not await claims.save_response(user, "http:a", late, token="second")


async def test_a_released_claim_is_free(store: RedisStore, user: User, redis: RedisClient) -> None:
    claims = store.idempotency
    assert await claims.claim_key(user, "http:a", _FIRST, timeout=_HOUR) is None
    assert await claims.claim_key(user, "http:a", _SECOND, timeout=_HOUR) == _FIRST
    await claims.release_claim(user, "http:a", "first")
    assert [key async for key in redis.scan_iter("*once*")] == []
    assert await claims.claim_key(user, "http:a", _SECOND, timeout=_HOUR) is None


@pytest.mark.parametrize("ends", [False, True])
async def test_a_claim_is_renewed_until_its_request_ends(
    store: RedisStore, user: User, ends: bool
) -> None:
    ttl = timedelta(milliseconds=600)
    state: Any = SimpleNamespace(store=store)
    claim = Claim(state, user, "http:a", b"request", ttl, token="first")
    assert await store.idempotency.claim_key(user, "http:a", _FIRST, timeout=ttl) is None
    end = claim.keep()
    if ends:
        end()
    await asyncio.sleep(1.5)
    other = await store.idempotency.claim_key(user, "http:a", _SECOND, timeout=_HOUR)
    assert (other is None) is ends
    end()
