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
_FETCH_SECONDS, _REFRESH_SECONDS, _AGAIN_SECONDS = 5.0, 600.0, 30.0


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """How tokens are checked; exactly one of `secret`, `public_key` and `jwks_url` is given.

    Attributes:
        secret: for HS256, at least 32 bytes.
        public_key: a PEM file, for RS256 or ES256.
        jwks_url: where an issuer publishes its keys, RFC 7517.
        audience, issuer: what `aud` and `iss` must be, where they are given.
        tenant_claim: the claim that names the tenant.
        admin_scope: a token with this scope reaches every user of its tenant.
    """

    secret: SecretStr | None = None
    public_key: Path | None = None
    jwks_url: str | None = None
    audience: str | None = None
    issuer: str | None = None
    tenant_claim: str = "tenant"
    admin_scope: str = "onionskin:admin"


class Tokens:
    """Authenticates by token. A secret never verifies a public-key algorithm, nor the reverse.

    Raises:
        ConfigurationError: the options cannot be used.
    """

    def __init__(
        self, options: TokenOptions, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        given = [one for one in (options.secret, options.public_key, options.jwks_url) if one]
        if len(given) != 1:
            raise ConfigurationError(
                "ONIONSKIN_AUTH is jwt: set one of ONIONSKIN_JWT_SECRET, "
                "ONIONSKIN_JWT_PUBLIC_KEY and ONIONSKIN_JWT_JWKS_URL."
            )
        self._options, self._clock = options, clock
        self._key = _fixed_key(options)
        self._algorithms = ["HS256"] if options.secret else list(_PUBLIC)
        self._published: dict[str, Any] = {}
        self._fetched = float("-inf")
        self._fetching = asyncio.Lock()

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Whom the token names.

        Raises:
            UnauthorizedError: it is missing, not signed by whom it should be, expired, or meant for
                somebody else.
        """
        token = bearer(headers)
        try:
            key = self._key or await self._published_key(jwt.get_unverified_header(token))
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
            raise UnauthorizedError(f"The token does not hold: {type(error).__name__}.") from error
        return self._principal(claims)

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = str(claims["sub"])
        tenant = claims.get(self._options.tenant_claim, DEFAULT_TENANT)
        if not subject or not isinstance(tenant, str) or not tenant:
            raise UnauthorizedError("The token's subject or tenant is no text.")
        scopes = str(claims.get("scope", "")).split()
        admin = self._options.admin_scope in scopes
        return Principal(f"sub:{tenant}:{subject}", tenant, None if admin else subject)

    async def _published_key(self, header: Mapping[str, Any]) -> Any:
        key_id = str(header.get("kid", ""))
        async with self._fetching:
            age = self._clock() - self._fetched
            if age > _REFRESH_SECONDS or (key_id not in self._published and age > _AGAIN_SECONDS):
                await self._fetch()
        if key_id not in self._published:
            raise UnauthorizedError("The token names a key that its issuer does not publish.")
        return self._published[key_id]

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(
                timeout=_FETCH_SECONDS, event_hooks=response_limit_hooks()
            ) as client:
                answer = await client.get(self._options.jwks_url or "")
                answer.raise_for_status()
                found = jwt.PyJWKSet.from_dict(answer.json())
        except (httpx.HTTPError, PyJWKSetError, ValueError) as error:
            if not self._published:
                raise UnauthorizedError(
                    "The issuer's keys cannot be fetched; try again shortly."
                ) from error
        else:
            self._published = {str(one.key_id or ""): one.key for one in found.keys}
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
