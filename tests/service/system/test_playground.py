"""The playground in a real browser: what a visitor does, and what must never happen to them."""

import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from onionskin.memory.store import Connection
from onionskin.memory.store.api_keys import ApiKeyRegistry
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.attacks import payloads
from tests.conftest import repository
from tests.services import Service, running_service

_AXE = repository() / "tests/javascript/node_modules/axe-core/axe.min.js"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PATIENCE_MS = 30_000
_MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script><b>bold</b>'
expect.set_options(timeout=_PATIENCE_MS)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("playground")
    with running_service(folder / "data", ONIONSKIN_MODEL="offline") as service:
        yield service


@asynccontextmanager
async def _visit(
    url: str, *, width: int = 1400, scheme: Literal["light", "dark"] = "light", ready: bool = True
) -> AsyncGenerator[Page]:
    """A page that has loaded; no complaint of the browser's, no request elsewhere."""
    browser_path = next(filter(None, map(shutil.which, _NAMES)), None)
    assert browser_path, "The tests need Chromium: apt-get install chromium."
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        context = await browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        page = await context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        complaints, elsewhere = list[str](), list[str]()

        def heard(message: ConsoleMessage) -> None:
            if message.type == "error" and "Failed to load resource" not in message.text:
                complaints.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda one: elsewhere.append(one.url) if url not in one.url else None)
        await page.goto(url)
        if ready:
            await page.wait_for_selector("body[data-ready=true]")
        yield page
        assert complaints == []
        assert [one for one in elsewhere if not one.startswith(("data:", "blob:"))] == []
        await browser.close()


async def _say(page: Page, text: str) -> None:
    """Say something by keyboard, and wait for the whole answer."""
    before = await page.get_by_role("button", name="Fork here").count()
    message = page.get_by_label("Message", exact=True)
    await message.fill(text)
    await message.press("Enter")
    await expect(page.get_by_role("button", name="Fork here")).to_have_count(before + 1)


async def _as(page: Page, user: str, *, said: int = 0) -> None:
    """Become a user of one's own, who has said so much."""
    await page.get_by_role("button", name="New user").click()
    await page.get_by_role("dialog").get_by_role("textbox").fill(user)
    await page.keyboard.press("Enter")
    await expect(page.locator("#user-choice")).to_have_value(user)
    await expect(page.get_by_role("button", name="Fork here")).to_have_count(said)


async def test_what_was_said_is_remembered_and_shown(site: Service) -> None:
    async with _visit(site.url) as page:
        await _as(page, "ada")
        await _say(page, "My dog is called Biscuit.")
        await page.get_by_role("button", name="New session").click()
        await expect(page.get_by_role("button", name="Fork here")).to_have_count(0)
        await _say(page, "What is my dog called?")
        transcript = page.get_by_label("Conversation")
        await expect(transcript).to_contain_text("Biscuit")
        await transcript.get_by_role("button", name="tokens").last.click()
        shown = page.get_by_role("tabpanel", name="What it was shown")
        await expect(shown).to_contain_text("My dog is called Biscuit.")
        await page.reload()
        await page.wait_for_selector("body[data-ready=true]")
        await expect(page.locator(".session")).to_have_count(2)


async def test_a_session_is_renamed_forked_swapped_and_closed(site: Service) -> None:
    async with _visit(site.url) as page:
        await _as(page, "bo")
        await _say(page, "The boat is sold.")
        await page.get_by_role("button", name="Rename").click()
        await page.get_by_role("dialog").get_by_role("textbox").fill("About the boat")
        await page.keyboard.press("Enter")
        await expect(page.locator("#sessions")).to_contain_text("About the boat")
        await page.locator("#profile").select_option("window")
        await _say(page, "To whom?")
        await page.get_by_role("button", name="Fork", exact=True).click()
        await expect(page.locator("#sessions")).to_contain_text("Fork of About the boat")
        await page.get_by_role("button", name="Close", exact=True).click()
        await expect(page.locator("#sessions")).to_contain_text("closed")


async def test_memories_are_found_changed_pinned_and_deleted(site: Service) -> None:
    with site.client() as client:
        for content in ("Likes green tea.", "Lives in Porto."):
            client.post("/v1/users/cy/memories", json={"content": content}).raise_for_status()
    async with _visit(site.url) as page:
        await _as(page, "cy")
        await page.get_by_role("tab", name="Memories").click()
        tea = page.locator(".memory", has_text="tea")
        await tea.get_by_role("button", name="Edit").click()
        await page.locator(".memory textarea").fill("Likes black tea.")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".memory", has_text="black tea")).to_be_visible()
        await tea.get_by_role("button", name="Pin", exact=True).click()
        await expect(tea).to_contain_text("pinned")
        await page.locator(".memory", has_text="Porto").get_by_role("button", name="Delete").click()
        await expect(page.locator(".memory", has_text="Porto")).to_have_count(0)


async def test_two_memories_answer_side_by_side(site: Service) -> None:
    async with _visit(site.url) as page:
        await _as(page, "di")
        await _say(page, "My cat is called Nimbus.")
        await page.get_by_role("button", name="Compare").click()
        compared = page.get_by_role("region", name="Compare")
        await page.get_by_label("Message", exact=True).fill("What is my cat called?")
        await page.keyboard.press("Enter")
        await expect(compared).to_contain_text("Nimbus")


async def test_hostile_texts_stay_texts(site: Service) -> None:
    hostile = [_MARKUP, *list(payloads())[:240:40]]
    with site.client() as client:
        for text in hostile:
            client.post("/v1/users/eve/memories", json={"content": text}).raise_for_status()
        said = {"user_id": "eve", "message": _MARKUP}
        client.post("/v1/chat", json=said).raise_for_status()
    async with _visit(site.url) as page:
        title = await page.title()
        await _as(page, "eve", said=1)
        await expect(page.get_by_label("Conversation")).to_contain_text(_MARKUP)
        await page.get_by_role("tab", name="Memories").click()
        await expect(page.locator(".memory")).to_have_count(len(hostile))
        assert await page.locator("#memories script, #memories img, #transcript img").count() == 0
        assert await page.title() == title


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_accessible_and_fits_a_phone(
    site: Service, scheme: Literal["light", "dark"]
) -> None:
    async with _visit(site.url, scheme=scheme) as page:
        await _as(page, f"fe-{scheme}")
        await _say(page, "I keep bees.")
        await page.get_by_label("Conversation").get_by_role("button", name="tokens").last.click()
        assert await _violations(page) == []
        await page.set_viewport_size({"width": 375, "height": 700})
        await page.get_by_role("button", name="Talk", exact=True).click()
        wide = await page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        assert not wide
        assert await _violations(page) == []


async def _violations(page: Page) -> list[str]:
    await page.evaluate(_AXE.read_text(encoding="utf-8"))  # the policy lets no script in
    found: dict[str, Any] = await page.evaluate("axe.run()")
    return [f"{one['id']}: {one['nodes'][0]['html'][:60]}" for one in found["violations"]]


async def test_with_authentication_it_asks_for_a_key(
    private_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    connection = Connection(private_redis.url)
    _, key = await ApiKeyRegistry(connection).create(tenant="t", user_id=None, name="", now=0.0)
    await connection.aclose()
    settings = {"ONIONSKIN_AUTH": "keys", "ONIONSKIN_REDIS_URL": private_redis.url}
    with running_service(tmp_path, **settings, ONIONSKIN_MODEL="offline") as service:
        async with _visit(service.url, ready=False) as page:
            await page.get_by_role("textbox", name="Key").fill(key)
            await page.keyboard.press("Enter")
            await page.wait_for_selector("body[data-ready=true]")
            await _as(page, "gus")
            await _say(page, "Behind a key.")
            assert await page.evaluate("localStorage.length") <= 2
            assert key not in await page.evaluate("JSON.stringify(localStorage)")


def test_the_page_may_load_nothing_from_elsewhere(site: Service) -> None:
    with site.client() as client:
        policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
