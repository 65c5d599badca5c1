"""One browser and one service per module; pages fail on errors and foreign requests."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Request, async_playwright, expect

from tests.openai_server import OpenAIServer
from tests.service.conftest import serving_model
from tests.services import Service, running_service
from tests.web.page_actions import PageActions

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_AXE = Path(__file__).parents[1] / "javascript/node_modules/axe-core/axe.min.js"
_WATCH = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`))"""


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    with serving_model() as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model: OpenAIServer) -> Iterator[Service]:
    settings = {
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL_API_KEY": "none",
        "ONIONSKIN_PROFILES": str(Path(__file__).with_name("profiles.toml")),
        "ONIONSKIN_QUARANTINE": "on",
    }
    with running_service(tmp_path_factory.mktemp("web"), **settings) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    executable = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    assert executable, (
        f"No browser among {', '.join(_BROWSERS)}: `make .venv/installed-dev` has one."
    )
    expect.set_options(timeout=30_000)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, service: Service) -> AsyncIterator[Page]:
    """A page that may only request its own origin, and must log no error."""
    context = await browser.new_context(
        base_url=service.url, viewport={"width": 1440, "height": 900}
    )
    context.set_default_timeout(30_000)
    await context.add_init_script(path=_AXE)
    await context.add_init_script(_WATCH)
    errors: list[str] = []

    def check_origin(request: Request) -> None:
        if not request.url.startswith((service.url, f"blob:{service.url}")):
            errors.append(f"requested {request.url}")

    context.on("request", check_origin)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    opened = await context.new_page()
    opened.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    yield opened
    await context.close()
    assert not [error for error in errors if not error.startswith("Failed to load resource")]


@pytest.fixture
def actions(page: Page) -> PageActions:
    return PageActions(page)
