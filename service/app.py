"""The HTTP application. Making it starts nothing; its lifespan does."""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.telemetry import TelemetryConfig
from starlette.routing import Route
from starlette.types import ASGIApp

from onionskin.service.chat import routes as chat
from onionskin.service.container import open_state
from onionskin.service.dependencies import BEARER
from onionskin.service.errors import add_error_handlers
from onionskin.service.mcp.endpoint import McpEndpoint
from onionskin.service.memories import routes as memories
from onionskin.service.middleware.request_log import RequestLogMiddleware
from onionskin.service.middleware.timeouts import TimeoutMiddleware
from onionskin.service.middleware.trusted_hosts import TrustedHostMiddleware, is_loopback
from onionskin.service.openai import routes as openai
from onionskin.service.openai.errors import install_error_format
from onionskin.service.schemas import Problem
from onionskin.service.sessions import routes as sessions
from onionskin.service.settings import Settings
from onionskin.service.state import State
from onionskin.service.system import routes as system
from onionskin.service.users import routes as users
from onionskin.service.version import VERSION

_ROUTERS = (
    chat.router,
    openai.router,
    sessions.router,
    memories.router,
    users.router,
    system.router,
)
_NO_TELEMETRY: TelemetryConfig = {  # FastAPI's own spans would hold paths, and so users' ids
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
_API_KEY = {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."}
_DESCRIPTION = """\
Layered memory for LangChain chat: per user a window, a running summary and a vector memory, over
one transcript in Redis. Errors are RFC 9457 problem details.
"""


class _Application(FastAPI):
    """FastAPI, with what must stand outside of its own error handling."""

    request_timeout = timedelta()
    origins: Collection[str] | None = None
    """Of other sites that may ask, where that must be watched."""

    def build_middleware_stack(self) -> ASGIApp:
        """Requests are told, and bounded in time, whatever becomes of them inside."""
        app: ASGIApp = TimeoutMiddleware(super().build_middleware_stack(), self.request_timeout)
        return RequestLogMiddleware(
            app if self.origins is None else TrustedHostMiddleware(app, self.origins)
        )


def create_app(
    settings: Settings,
    opened: Callable[[Settings], AbstractAsyncContextManager[State]] = open_state,
) -> FastAPI:
    """The application for `settings`.

    Args:
        settings: see `Settings`.
        opened: opens what the service is made of, when the application starts.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, State]]:
        async with opened(settings) as state, mcp:
            yield {"onionskin": state}

    app = _Application(
        title="Onionskin",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        max_body_size=settings.largest_body,
        separate_input_output_schemas=False,
        telemetry=_NO_TELEMETRY,
    )
    mcp = McpEndpoint(app, app.version)
    for router in _ROUTERS:
        app.include_router(router)
    if settings.demo:
        app.include_router(system.demo_router)
    app.router.routes.append(Route("/mcp", mcp))
    origins = [one.strip() for one in settings.cors_origins.split(",") if one.strip()]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.request_timeout = settings.request_timeout
    app.origins = origins if settings.auth == "off" and is_loopback(settings.host) else None
    add_error_handlers(app)
    install_error_format(app)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Put problem details, and the other way to show an API key, into the OpenAPI description."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        schema = plain()
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        components["securitySchemes"]["APIKeyHeader"] = _API_KEY
        for path in schema["paths"].values():
            for operation in path.values():
                if operation.get("security") == [{BEARER: []}]:
                    operation["security"] = [{BEARER: []}, {"APIKeyHeader": []}]
        return schema

    app.openapi = described
