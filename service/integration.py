"""Onionskin inside another FastAPI application: a router to include, and its lifespan.

    memory = Integration(load_settings())
    app = FastAPI(lifespan=memory.lifespan)
    app.include_router(memory.router, prefix="/memory")

Errors of the routes are problem details, or have OpenAI's format under OpenAI's paths. The request
log, the timeout and the limits apply to the routes alone. Nothing changes for the other routes.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from onionskin.service.api_route import TRUSTED_ORIGINS, GuardedApp
from onionskin.service.app import API_ROUTERS, create_app
from onionskin.service.container import open_state
from onionskin.service.mcp.endpoint import McpEndpoint
from onionskin.service.middleware.trusted_hosts import trusted_origins
from onionskin.service.settings import Settings, load_settings
from onionskin.service.state import State
from onionskin.service.version import VERSION


class Integration:
    """The API of Onionskin, for another FastAPI application.

    Args:
        settings: See `Settings`; None to read them from the environment and the files.
        opened: Opens the state when the application starts.
        is_protected: Whether the application authenticates the requests itself. Otherwise requests
            for other machines are refused while `ONIONSKIN_AUTH` is off.

    Attributes:
        router: The API, `/mcp` included. The page, `/healthz`, `/readyz` and `/metrics` are left
            to the application.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        opened: Callable[[Settings], AbstractAsyncContextManager[State]] = open_state,
        *,
        is_protected: bool = False,
    ) -> None:
        self._settings = settings = settings or load_settings()
        self._opened = opened
        self._origins = None if is_protected else trusted_origins(settings)
        self._mcp = McpEndpoint(lambda: create_app(settings), VERSION)
        self.router = APIRouter(max_body_size=settings.largest_body)
        for router in API_ROUTERS:
            self.router.include_router(router)
        self.router.routes.append(Route("/mcp", GuardedApp(self._mcp)))

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        """Start the service with the application, and stop it with it.

        An application with a lifespan of its own enters this one in it, and yields its state:
        `async with memory.lifespan(app) as state: yield state | {...}`. Endpoints find the
        collaborators in `request.state.onionskin`.
        """
        async with self._opened(self._settings) as state, self._mcp:
            yield {"onionskin": state, TRUSTED_ORIGINS: self._origins}
