"""`ONIONSKIN_AUTH=keys`: API keys, looked up in Redis and remembered for a few seconds.

The authenticator that the settings ask for.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from onionskin.memory.store import Connection
from onionskin.memory.store.api_keys import ApiKeyRegistry
from onionskin.service.auth.jwt import TokenOptions, Tokens
from onionskin.service.auth.principals import (
    Anybody,
    Authenticator,
    Principal,
    UnauthorizedError,
    bearer,
)
from onionskin.service.settings import Settings

_REMEMBERED_SECONDS = 5.0
_MOST_REMEMBERED = 10_000


class ApiKeys:
    """Authenticates by API key; a revoked one is refused after five seconds at the latest.

    Args:
        connection: to the Redis that holds the keys.
        clock: seconds, monotonic.
    """

    def __init__(
        self, connection: Connection, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection, self._clock = connection, clock
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who holds the key.

        Raises:
            UnauthorizedError: there is none, or it was revoked.
        """
        shown = bearer(headers)
        digest, now = hashlib.sha256(shown.encode()).digest(), self._clock()
        found = self._known.get(digest)
        if found and found[0] > now:
            return found[1]
        self._known.pop(digest, None)
        key = await ApiKeyRegistry(self._connection).find(shown)
        if key is None:
            raise UnauthorizedError("This API key is not known, or was revoked.")
        principal = Principal(f"key:{key.id}", key.tenant, key.user_id)
        self._known[digest] = (now + _REMEMBERED_SECONDS, principal)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return principal


def open_authenticator(settings: Settings, connection: Connection) -> Authenticator:
    """By `ONIONSKIN_AUTH`.

    Raises:
        ConfigurationError: the settings for tokens cannot be used.
    """
    if settings.auth == "off":
        return Anybody()
    if settings.auth == "keys":
        return ApiKeys(connection)
    return Tokens(
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
