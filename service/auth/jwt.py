"""`ONIONSKIN_AUTH=jwt`: JSON Web Tokens, RFC 7519; `sub` is the user."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
from jwt.exceptions import PyJWTError
from pydantic import SecretStr

from onionskin.memory.errors import ConfigurationError
from onionskin.service.auth.jwks import PUBLIC_ALGORITHMS, IssuerKeys
from onionskin.service.auth.principals import DEFAULT_TENANT, Principal, UnauthorizedError, bearer

_LEEWAY_SECONDS = 10
_TIME_ZONE_CLAIM = "zoneinfo"  # OpenID Connect Core, 5.1
_REASONS = {
    "ExpiredSignatureError": "it has expired; get a new one",
    "ImmatureSignatureError": "it is not valid yet (`nbf` or `iat` is in the future)",
    "InvalidAudienceError": "it is for another audience (`aud`) than ONIONSKIN_JWT_AUDIENCE",
    "InvalidIssuerError": "it has another issuer (`iss`) than ONIONSKIN_JWT_ISSUER",
    "InvalidSignatureError": "its signature does not match the configured key",
    "InvalidAlgorithmError": "its algorithm (`alg`) is not allowed for the configured key",
    "InvalidSubjectError": "its subject (`sub`) is not a string",
    "DecodeError": "it is not a JSON Web Token",
}


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

    def __init__(self, options: TokenOptions) -> None:
        keys = (options.secret, options.public_key, options.jwks_url)
        if sum(map(bool, keys)) != 1:
            raise ConfigurationError(
                "ONIONSKIN_AUTH is jwt: set one of ONIONSKIN_JWT_SECRET, "
                "ONIONSKIN_JWT_PUBLIC_KEY and ONIONSKIN_JWT_JWKS_URL."
            )
        self._options = options
        self._key = _fixed_key(options)
        self._algorithms = ["HS256"] if options.secret else list(PUBLIC_ALGORITHMS)
        self._issuer_keys = IssuerKeys(options.jwks_url or "")

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The principal of the token's subject.

        Raises:
            UnauthorizedError: The token is missing, expired, wrongly signed, or for another
                audience.
            IssuerUnavailableError: The issuer's keys cannot be fetched now.
        """
        token = bearer(headers)
        try:
            key = self._key or await self._published_key(token)
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
        except (PyJWTError, ValueError, TypeError) as error:
            reason = _REASONS.get(type(error).__name__, str(error) or type(error).__name__)
            raise UnauthorizedError(f"The token is invalid: {reason}.") from error
        return self._principal(claims)

    async def _published_key(self, token: str) -> jwt.PyJWK:
        return await self._issuer_keys.find(str(jwt.get_unverified_header(token).get("kid", "")))

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = str(claims["sub"])
        tenant = claims.get(self._options.tenant_claim, DEFAULT_TENANT)
        if not isinstance(tenant, str) or not (_is_name(subject) and _is_name(tenant)):
            raise UnauthorizedError("The subject or tenant of the token is empty or not a string.")
        scopes = str(claims.get("scope", "")).split()
        admin = self._options.admin_scope in scopes
        name = f"sub:{quote(tenant, safe='')}:{subject}"
        if admin:
            return Principal(name, tenant)
        zone = claims.get(_TIME_ZONE_CLAIM)
        return Principal(name, tenant, subject, zone if isinstance(zone, str) else "")


def _is_name(text: str) -> bool:
    """Whether a claim can name a user or a tenant; a lone surrogate is no text."""
    return bool(text) and text.isprintable()


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
