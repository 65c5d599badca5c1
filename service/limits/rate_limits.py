"""How often principals and users may ask, counted in Redis by `limits`."""

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
from onionskin.memory.store.redis.connection import unavailable
from onionskin.memory.types.messages import User
from onionskin.service.limits.headers import Quota

_PREFIX = "onionskin:limits"


class RateLimitedError(OnionskinError):
    """More was asked than is allowed.

    Attributes:
        quota: of which nothing is left.
        retry_after: when it will do again.
    """

    code = "rate_limited"

    def __init__(self, limit: str, quota: Quota) -> None:
        self.quota = quota
        self.retry_after = max(quota.reset, timedelta(seconds=1))
        seconds = math.ceil(self.retry_after.total_seconds())
        super().__init__(f"More than {limit} requests. Wait {seconds} seconds.")


class Limits:
    """Rate limits; one that is not set is not counted.

    Args:
        redis_url: as in the settings.
        principal: such as `600/minute`, for each principal.
        user: the same, for each user.

    Raises:
        ConfigurationError: a limit cannot be read.
    """

    def __init__(self, redis_url: str, *, principal: str | None, user: str | None) -> None:
        self._principal, self._user = _parsed(principal), _parsed(user)
        self._limiter: SlidingWindowCounterRateLimiter | None = None
        if self._principal or self._user:
            self._limiter = SlidingWindowCounterRateLimiter(_storage(redis_url))

    async def principal(self, principal_id: str) -> tuple[Quota, ...]:
        """Count a request of a principal; what is left, where there is a limit.

        Raises:
            RateLimitedError: it is one too many.
        """
        return await self._count(self._principal, "principal", principal_id)

    async def user(self, user: User) -> tuple[Quota, ...]:
        """Count a request for a user; what is left, where there is a limit.

        Raises:
            RateLimitedError: it is one too many.
        """
        name = f"{quote(user.tenant, '')}/{quote(user.id, '')}"  # hashed: erasure leaves no name
        return await self._count(self._user, "user", hashlib.sha256(name.encode()).hexdigest())

    async def _count(self, limit: RateLimitItem | None, what: str, name: str) -> tuple[Quota, ...]:
        if limit is None or self._limiter is None:
            return ()
        try:
            allowed = await self._limiter.hit(limit, what, name)
            found = await self._limiter.get_window_stats(limit, what, name)
        except StorageError as error:
            raise unavailable(error) from error
        reset = timedelta(seconds=max(0.0, found.reset_time - time.time()))
        quota = Quota("requests", limit.amount, found.remaining if allowed else 0, reset)
        if not allowed:
            raise RateLimitedError(str(limit), quota)
        return (quota,)


def _parsed(text: str | None) -> RateLimitItem | None:
    try:
        return parse(text) if text else None
    except ValueError as error:
        raise ConfigurationError(
            f"The rate limit {text!r} cannot be read; write it as 600/minute."
        ) from error


def _storage(url: str) -> Storage:
    scheme = urlsplit(url).scheme
    named = url.replace("unix://", "redis+unix://", 1) if scheme == "unix" else url
    found = storage_from_string(
        f"async+{named}", implementation="redispy", key_prefix=_PREFIX, wrap_exceptions=True
    )
    if not isinstance(found, Storage):
        raise ConfigurationError(f"Rate limits cannot be counted in {scheme!r}.")
    return found
