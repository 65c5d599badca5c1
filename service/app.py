"""The HTTP application. Its lifespan, not its construction, starts the service."""

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
from onionskin.service.errors import MEDIA_TYPE, add_error_handlers
from onionskin.service.mcp.endpoint import McpEndpoint
from onionskin.service.memories import routes as memories
from onionskin.service.middleware.request_log import RequestLogMiddleware
from onionskin.service.middleware.timeouts import TimeoutMiddleware
from onionskin.service.middleware.trusted_hosts import (
    TrustedHostMiddleware,
    cors_origins,
    trusted_origins,
)
from onionskin.service.openai import routes as openai
from onionskin.service.openai.errors import install_error_format
from onionskin.service.schemas import Problem
from onionskin.service.sessions import append, search
from onionskin.service.sessions import routes as sessions
from onionskin.service.settings import Settings, load_settings
from onionskin.service.state import State
from onionskin.service.system import routes as system
from onionskin.service.users import batch_import
from onionskin.service.users import routes as users
from onionskin.service.version import VERSION

API_ROUTERS = (
    chat.router,
    openai.router,
    sessions.router,
    append.router,
    search.router,
    memories.router,
    users.router,
    batch_import.router,
    system.about_router,
)
"""The API, without the page and the state of health."""
_NO_TELEMETRY: TelemetryConfig = {  # FastAPI's own spans hold paths, and so user ids
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
    """FastAPI with middleware outside of its own error handling."""

    request_timeout = timedelta()
    origins: Collection[str] | None = None
    """Origins that may send requests; None where all hosts and origins may."""

    def build_middleware_stack(self) -> ASGIApp:
        """Log and time-limit all requests, also those that fail inside."""
        app: ASGIApp = TimeoutMiddleware(super().build_middleware_stack(), self.request_timeout)
        return RequestLogMiddleware(
            app if self.origins is None else TrustedHostMiddleware(app, self.origins)
        )


def create_app(
    settings: Settings | None = None,
    opened: Callable[[Settings], AbstractAsyncContextManager[State]] = open_state,
) -> FastAPI:
    """The application; `uvicorn --factory onionskin.service.app:create_app` serves it.

    Args:
        settings: See `Settings`; None to read them from the environment and the files.
        opened: Opens the state when the application starts.

    Raises:
        ConfigurationError: A setting is invalid; the message names it and its source.
    """
    settings = settings or load_settings()

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
    mcp = McpEndpoint(lambda: app, VERSION)
    for router in (*API_ROUTERS, system.router):
        app.include_router(router)
    if settings.demo:
        app.include_router(system.demo_router)
    app.router.routes.append(Route("/mcp", mcp))
    origins = cors_origins(settings)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.request_timeout = settings.request_timeout
    app.origins = trusted_origins(settings)
    add_error_handlers(app)
    install_error_format(app)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Add problem details and the header `X-API-Key` to the OpenAPI description."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        components["securitySchemes"]["APIKeyHeader"] = _API_KEY
        for path in schema["paths"].values():
            for operation in path.values():
                for response in operation["responses"].values():
                    if MEDIA_TYPE in response.get("content", {}):
                        response["content"] = {MEDIA_TYPE: response["content"][MEDIA_TYPE]}
                if operation.get("security") == [{BEARER: []}]:
                    operation["security"] = [{BEARER: []}, {"APIKeyHeader": []}]
        return schema

    app.openapi = openapi
