"""Where nobody is asked for credentials, no page on the web may ask in a browser's name.

A browser on this machine reaches the service; pages that it shows must not. One that gives its own
name our address (DNS rebinding) names itself in `Host`; one that posts across origins, in `Origin`.
"""

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from onionskin.service.auth.principals import ForbiddenError
from onionskin.service.errors import error_response

_ANY = "*"


class TrustedHostMiddleware:
    """Middleware, for a service without authentication on the machine's own address.

    Args:
        app: what it stands around.
        origins: those of other sites that may ask, such as `https://app.example.com`; `*` for all.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app, self._origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of this machine."""
        if scope["type"] == "http":
            named = {name: value for name, value in scope["headers"] if name in _NAMING}
            problem = self._problem(named)
            if problem:
                response = error_response(Request(scope), ForbiddenError(problem))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, named: dict[bytes, bytes]) -> str:
        host = named.get(b"host", b"").decode("latin-1")
        if host and not _is_of_this_machine(host):
            return (
                f"The request is for {host!r}. Without authentication only this machine is "
                "answered, by its address or as localhost: set ONIONSKIN_AUTH to serve others."
            )
        origin = named.get(b"origin", b"").decode("latin-1")
        known = origin in self._origins or _ANY in self._origins
        if origin and not known and origin.partition("://")[2] != host:
            return (
                f"A page of {origin!r} may not ask: name it in ONIONSKIN_CORS_ORIGINS if it should."
            )
        return ""


_NAMING = (b"host", b"origin")


@lru_cache(64)  # the same from request to request
def _is_of_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
