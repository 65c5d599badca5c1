"""Authenticators: API keys, and the choice by `ONIONSKIN_AUTH`."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from onionskin.memory.store import ApiKeyRegistry, Connection
from onionskin.service.auth.jwt import TokenAuthenticator, TokenOptions
from onionskin.service.auth.principals import (
    Anybody,
    Authenticator,
    Principal,
    UnauthorizedError,
    bearer,
)
from onionskin.service.settings import Settings

_CACHE_SECONDS = 5.0
_MAX_CACHED = 10_000


class ApiKeys:
    """Authenticates by API key; a revoked key is refused after at most five seconds.

    Args:
        connection: Connection to the Redis that holds the keys.
        clock: Monotonic seconds.
        now: Unix seconds.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._connection, self._clock, self._now = connection, clock, now
        self._cached: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The principal of the key.

        Raises:
            UnauthorizedError: The key is unknown, was revoked, or has expired.
        """
        secret = bearer(headers)
        digest, now = hashlib.sha256(secret.encode()).digest(), self._clock()
        cached = self._cached.get(digest)
        if cached and cached[0] > now:
            return cached[1]
        self._cached.pop(digest, None)
        key = await ApiKeyRegistry(self._connection).find(secret)
        if key is None:
            raise UnauthorizedError("This API key is unknown or was revoked.")
        seconds_left = _CACHE_SECONDS if key.expires is None else key.expires - self._now()
        if seconds_left <= 0:
            raise UnauthorizedError("This API key has expired. Create another one.")
        principal = Principal(f"key:{key.id}", key.tenant, key.user_id)
        self._cached[digest] = (now + min(_CACHE_SECONDS, seconds_left), principal)
        if len(self._cached) > _MAX_CACHED:
            self._cached.popitem(last=False)
        return principal


def open_authenticator(settings: Settings, connection: Connection) -> Authenticator:
    """The authenticator that `ONIONSKIN_AUTH` names.

    Raises:
        ConfigurationError: The settings of tokens cannot be used.
    """
    if settings.auth == "off":
        return Anybody()
    if settings.auth == "keys":
        return ApiKeys(connection)
    return TokenAuthenticator(
        TokenOptions(
            secret=settings.jwt_secret,
            public_key=settings.jwt_public_key,
            jwks_url=settings.jwt_jwks_url,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            tenant_claim=settings.jwt_tenant_claim,
            admin_scope=settings.jwt_admin_scope,
        )
    )
