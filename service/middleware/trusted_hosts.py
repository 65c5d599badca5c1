"""Middleware that keeps web pages out of a local service without authentication.

A browser on this machine reaches the service, and so could any page in it. `Host` reveals a page
that uses DNS rebinding, `Origin` one that posts across origins.
"""

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from onionskin.service.auth.principals import ForbiddenError
from onionskin.service.errors import error_response
from onionskin.service.settings import Settings

_ANY = "*"


class TrustedHostMiddleware:
    """For a service without authentication on a loopback address.

    Args:
        app: The wrapped application.
        origins: Origins that may send requests, such as `https://app.example.com`; `*` for all.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app, self._origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request of this machine; answer others with 403."""
        if scope["type"] == "http":
            problem = self._problem(dict(scope["headers"])) or _network_problem(scope)
            if problem:
                response = error_response(Request(scope), ForbiddenError(problem))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, headers: dict[bytes, bytes]) -> str:
        host = headers.get(b"host", b"").decode("latin-1")
        if host and not _is_local(host):
            return (
                f"The request is for {host!r}. Without authentication, only requests to localhost "
                "or an IP address are answered. Set ONIONSKIN_AUTH to serve other names."
            )
        origin = headers.get(b"origin", b"").decode("latin-1")
        known = origin in self._origins or _ANY in self._origins
        if origin and not known and origin.partition("://")[2] != host:
            return (
                f"Pages of {origin!r} may not send requests. "
                "Add the origin to ONIONSKIN_CORS_ORIGINS."
            )
        return ""


def _network_problem(scope: Scope) -> str:
    """Why a request to an address of this machine in the network is refused."""
    address = str((scope.get("server") or ("",))[0])
    if not _is_address(address) or is_loopback(address):
        return ""
    return (
        f"The request came in on {address!r}, and ONIONSKIN_AUTH is off. Set it to keys or jwt, or "
        "ONIONSKIN_HOST to the address to listen on if a proxy authenticates."
    )


def cors_origins(settings: Settings) -> list[str]:
    """The origins that browsers may call from."""
    return [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]


def trusted_origins(settings: Settings) -> list[str] | None:
    """Origins that may send requests; None where all hosts and origins may."""
    is_open = settings.auth == "off" and is_loopback(settings.host)
    return cors_origins(settings) if is_open else None


@lru_cache(64)  # few hosts occur
def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
