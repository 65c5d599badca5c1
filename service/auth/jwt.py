"""`ONIONSKIN_AUTH=jwt`: JSON Web Tokens, RFC 7519; `sub` is the user."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
from jwt.exceptions import PyJWKSetError, PyJWTError
from pydantic import SecretStr

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.http_limits import response_limit_hooks
from onionskin.service.auth.principals import DEFAULT_TENANT, Principal, UnauthorizedError, bearer

_PUBLIC = ("RS256", "ES256")
_LEEWAY_SECONDS = 10
_FETCH_SECONDS, _REFRESH_SECONDS, _RETRY_SECONDS = 5.0, 600.0, 30.0


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """Options of tokens; exactly one of `secret`, `public_key` and `jwks_url` is set.

    Attributes:
        secret: Secret for HS256, at least 32 bytes.
        public_key: PEM file for RS256 or ES256.
        jwks_url: URL of the issuer's key set, RFC 7517.
        audience: Required value of `aud`, if set.
        issuer: Required value of `iss`, if set.
        tenant_claim: Claim that holds the tenant.
        admin_scope: Scope that gives access to every user of the tenant.
    """

    secret: SecretStr | None = None
    public_key: Path | None = None
    jwks_url: str | None = None
    audience: str | None = None
    issuer: str | None = None
    tenant_claim: str = "tenant"
    admin_scope: str = "onionskin:admin"


class TokenAuthenticator:
    """Authenticates by token. Secrets verify only HS256, public keys only RS256 and ES256.

    Raises:
        ConfigurationError: The options cannot be used.
    """

    def __init__(
        self, options: TokenOptions, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        keys = (options.secret, options.public_key, options.jwks_url)
        if sum(map(bool, keys)) != 1:
            raise ConfigurationError(
                "ONIONSKIN_AUTH is jwt: set one of ONIONSKIN_JWT_SECRET, "
                "ONIONSKIN_JWT_PUBLIC_KEY and ONIONSKIN_JWT_JWKS_URL."
            )
        self._options, self._clock = options, clock
        self._key = _fixed_key(options)
        self._algorithms = ["HS256"] if options.secret else list(_PUBLIC)
        self._public_keys: dict[str, Any] = {}
        self._fetched = float("-inf")
        self._fetching = asyncio.Lock()

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The principal of the token's subject.

        Raises:
            UnauthorizedError: The token is missing, expired, wrongly signed, or for another
                audience.
        """
        token = bearer(headers)
        try:
            key = self._key or await self._public_key(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._options.audience,
                issuer=self._options.issuer,
                leeway=_LEEWAY_SECONDS,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": self._options.audience is not None,
                },
            )
        except (PyJWTError, ValueError) as error:
            raise UnauthorizedError(f"The token is invalid: {type(error).__name__}.") from error
        return self._principal(claims)

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = str(claims["sub"])
        tenant = claims.get(self._options.tenant_claim, DEFAULT_TENANT)
        if not subject or not isinstance(tenant, str) or not tenant:
            raise UnauthorizedError("The subject or tenant of the token is empty or not a string.")
        scopes = str(claims.get("scope", "")).split()
        admin = self._options.admin_scope in scopes
        return Principal(f"sub:{tenant}:{subject}", tenant, None if admin else subject)

    async def _public_key(self, header: Mapping[str, Any]) -> Any:
        key_id = str(header.get("kid", ""))
        async with self._fetching:
            age = self._clock() - self._fetched
            if age > _REFRESH_SECONDS or (key_id not in self._public_keys and age > _RETRY_SECONDS):
                await self._fetch()
        if key_id not in self._public_keys:
            raise UnauthorizedError("The token names a key that the issuer does not publish.")
        return self._public_keys[key_id]

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(
                timeout=_FETCH_SECONDS, event_hooks=response_limit_hooks()
            ) as client:
                response = await client.get(self._options.jwks_url or "")
                response.raise_for_status()
                key_set = jwt.PyJWKSet.from_dict(response.json())
        except (httpx.HTTPError, PyJWKSetError, ValueError) as error:
            if not self._public_keys:
                raise UnauthorizedError(
                    "The issuer's keys cannot be fetched; try again shortly."
                ) from error
        else:
            self._public_keys = {str(key.key_id or ""): key.key for key in key_set.keys}
        self._fetched = self._clock()


def _fixed_key(options: TokenOptions) -> str | None:
    if options.secret:
        secret = options.secret.get_secret_value()
        if len(secret.encode()) < 32:  # noqa: PLR2004 - RFC 7518, 3.2
            raise ConfigurationError(
                "ONIONSKIN_JWT_SECRET has fewer than 32 bytes; use a longer one."
            )
        return secret
    if options.public_key is None:
        return None
    try:
        return options.public_key.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"ONIONSKIN_JWT_PUBLIC_KEY cannot be read: {error}.") from error
