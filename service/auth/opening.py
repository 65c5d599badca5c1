"""The authenticator that the settings ask for."""

from memory.store import Connection
from service.auth.api_keys import ApiKeys
from service.auth.principals import Anybody, Authenticator
from service.auth.tokens import TokenOptions, Tokens
from service.settings import Settings


def open_authenticator(settings: Settings, connection: Connection) -> Authenticator:
    """By `STRATA_AUTH`.

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
