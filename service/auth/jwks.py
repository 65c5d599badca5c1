"""The published keys of a token issuer (JSON Web Key Set, RFC 7517), cached.

One fetch runs at a time, beside the requests. A request waits for it only if its key is unknown.
Known keys stay valid while the issuer is unavailable.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import jwt
from jwt.exceptions import PyJWTError

from onionskin.memory.errors import OnionskinError
from onionskin.memory.http_limits import response_limit_hooks
from onionskin.service.auth.principals import UnauthorizedError

PUBLIC_ALGORITHMS = ("RS256", "ES256")


class IssuerUnavailableError(OnionskinError):
    """The issuer's keys cannot be fetched, so the token cannot be checked now."""

    code = "issuer_unavailable"

    def __init__(self, retry_after: timedelta) -> None:
        seconds = math.ceil(retry_after.total_seconds())
        super().__init__(
            "The token cannot be checked: the keys of its issuer cannot be fetched. "
            f"Try again in {seconds} seconds; check ONIONSKIN_JWT_JWKS_URL if this goes on."
        )
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """When keys are fetched; all values in seconds.

    Attributes:
        timeout: Time limit of a fetch.
        lifetime: Age at which known keys are refreshed in the background.
        pause: Shortest time between two fetches for unknown keys.
        backoff, longest_backoff: Pause after a failed fetch; it doubles with each failure.
    """

    timeout: float = 5.0
    lifetime: float = 600.0
    pause: float = 30.0
    backoff: float = 1.0
    longest_backoff: float = 60.0


class IssuerKeys:
    """The keys that an issuer publishes.

    Args:
        url: Address of the key set.
        policy: When keys are fetched.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        policy: RefreshPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._policy, self._clock = url, policy or RefreshPolicy(), clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at, self._not_before, self._failures = -math.inf, -math.inf, 0
        self._fetch: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> jwt.PyJWK:
        """The key with an id.

        Raises:
            UnauthorizedError: The issuer publishes no such key.
            IssuerUnavailableError: The key is unknown and the keys cannot be fetched now.
        """
        if self._clock() - self._fetched_at > self._policy.lifetime:
            self._begin_fetch()
        key = self._keys.get(key_id)
        if key:
            return key
        self._begin_fetch()
        if self._fetch:
            await asyncio.wait([self._fetch])
        key = self._keys.get(key_id)
        if key:
            return key
        if self._failures:
            wait = max(1.0, self._not_before - self._clock())
            raise IssuerUnavailableError(timedelta(seconds=wait))
        raise UnauthorizedError("The issuer of the token does not publish the key that it names.")

    def _begin_fetch(self) -> None:
        if self._fetch is None and self._clock() >= self._not_before:
            self._fetch = asyncio.create_task(self._fetch_keys(), name="issuer-keys")
            self._fetch.add_done_callback(self._end_fetch)

    def _end_fetch(self, _: asyncio.Task[None]) -> None:
        self._fetch = None

    async def _fetch_keys(self) -> None:
        policy = self._policy
        try:
            async with (
                asyncio.timeout(policy.timeout),
                httpx.AsyncClient(
                    timeout=policy.timeout, event_hooks=response_limit_hooks()
                ) as client,
            ):
                response = await client.get(self._url)
                response.raise_for_status()
                self._keys = _usable_keys(response.json())
        except (httpx.HTTPError, httpx.InvalidURL, PyJWTError, ValueError, TimeoutError):
            pause = min(policy.backoff * 2 ** min(self._failures, 16), policy.longest_backoff)
            self._failures += 1
            self._not_before = self._clock() + pause
        else:
            self._failures = 0
            self._fetched_at = self._clock()
            self._not_before = self._fetched_at + policy.pause


def _usable_keys(document: Any) -> dict[str, jwt.PyJWK]:
    """The signature keys of a key set, by id.

    Raises:
        PyJWTError: The set contains no usable key.
        ValueError: The document is no key set.
    """
    if not isinstance(document, dict):
        raise ValueError("A key set is a JSON object.")  # noqa: TRY004 - as for other wrong content
    try:
        key_set = jwt.PyJWKSet.from_dict(document)  # pyright: ignore[reportUnknownArgumentType]
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError("The key set cannot be read.") from error
    return {
        str(key.key_id or ""): key
        for key in key_set.keys
        if key.algorithm_name in PUBLIC_ALGORITHMS
    }
