"""Rate limits of principals and users, counted in Redis by the library `limits`."""

import hashlib
import math
import time
from datetime import timedelta
from urllib.parse import quote, urlsplit

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from onionskin.memory.errors import ConfigurationError, OnionskinError
from onionskin.memory.store import unavailable
from onionskin.memory.types.messages import User
from onionskin.service.limits.headers import Quota

_PREFIX = "onionskin:limits"


class RateLimitedError(OnionskinError):
    """The rate limit is reached.

    Attributes:
        quota: The quota, with nothing left.
        retry_after: Time until the next request is allowed.
    """

    code = "rate_limited"

    def __init__(self, limit: str, quota: Quota) -> None:
        self.quota = quota
        self.retry_after = max(quota.reset, timedelta(seconds=1))
        seconds = math.ceil(self.retry_after.total_seconds())
        super().__init__(f"More than {limit} requests. Wait {seconds} seconds.")


class RateLimits:
    """Rate limits; a limit that is not set is not counted.

    Args:
        redis_url: URL of Redis.
        principal: Limit per principal, such as `600/minute`.
        user: Limit per user.

    Raises:
        ConfigurationError: A limit cannot be read.
    """

    def __init__(self, redis_url: str, *, principal: str | None, user: str | None) -> None:
        self._principal, self._user = _parse(principal), _parse(user)
        self._limiter: SlidingWindowCounterRateLimiter | None = None
        if self._principal or self._user:
            self._limiter = SlidingWindowCounterRateLimiter(_storage(redis_url))

    async def check_principal(self, principal_id: str) -> tuple[Quota, ...]:
        """Count a request of a principal; the quota that is left, where there is a limit.

        Raises:
            RateLimitedError: The limit is reached.
        """
        if self._principal is None:
            return ()
        return await self._count(self._principal, "principal", principal_id)

    async def check_user(self, user: User) -> tuple[Quota, ...]:
        """Count a request for a user; the quota that is left, where there is a limit.

        Raises:
            RateLimitedError: The limit is reached.
        """
        if self._user is None:
            return ()
        name = f"{quote(user.tenant, '')}/{quote(user.id, '')}"  # hashed: erasure leaves no name
        return await self._count(self._user, "user", hashlib.sha256(name.encode()).hexdigest())

    async def _count(self, limit: RateLimitItem, what: str, name: str) -> tuple[Quota, ...]:
        if self._limiter is None:
            return ()
        try:
            allowed = await self._limiter.hit(limit, what, name)
            window = await self._limiter.get_window_stats(limit, what, name)
        except StorageError as error:
            raise unavailable(error) from error
        reset = timedelta(seconds=max(0.0, window.reset_time - time.time()))
        quota = Quota("requests", limit.amount, window.remaining if allowed else 0, reset)
        if not allowed:
            raise RateLimitedError(str(limit), quota)
        return (quota,)


def _parse(text: str | None) -> RateLimitItem | None:
    try:
        return parse(text) if text else None
    except ValueError as error:
        raise ConfigurationError(
            f"The rate limit {text!r} cannot be read; write it as 600/minute."
        ) from error


def _storage(url: str) -> Storage:
    scheme = urlsplit(url).scheme
    address = url.replace("unix://", "redis+unix://", 1) if scheme == "unix" else url
    storage = storage_from_string(
        f"async+{address}", implementation="redispy", key_prefix=_PREFIX, wrap_exceptions=True
    )
    if not isinstance(storage, Storage):
        raise ConfigurationError(f"Rate limits cannot be counted in {scheme!r}.")
    return storage
