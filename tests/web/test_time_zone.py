"""The clock of the page: the user's zone, or else the browser's, which its requests then name."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.openai_server import OpenAIServer
from tests.services import Service
from tests.web.page_actions import PageActions

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _page_in(browser: Browser, service: Service, zone: str) -> Page:
    context = await browser.new_context(base_url=service.url, timezone_id=zone)
    return await context.new_page()


def _prompt(model: OpenAIServer) -> str:
    return "\n".join(text for _, text in model.requests[-1].messages)


async def test_without_a_stored_zone_the_browsers_is_shown_and_named(
    browser: Browser, service: Service, model: OpenAIServer
) -> None:
    page = await _page_in(browser, service, "Asia/Tokyo")
    actions = PageActions(page)
    await actions.open("tokyo")
    await expect(page.locator(".time-zone")).to_have_text("Times in Asia/Tokyo")
    await actions.say("What day is it?")
    assert "(Asia/Tokyo)" in _prompt(model)
    await page.context.close()


async def test_the_stored_zone_comes_before_the_browsers(
    browser: Browser, service: Service, model: OpenAIServer
) -> None:
    with service.client() as client:
        line = '{"role": "user", "content": "The ship sails.", "time": "2024-05-01T22:30:00Z"}'
        client.post("/v1/users/kiri/import", content=line).raise_for_status()
        settings = {"timezone": "Pacific/Kiritimati"}
        client.put("/v1/users/kiri/settings", json=settings).raise_for_status()
    page = await _page_in(browser, service, "America/Lima")
    actions = PageActions(page)
    await page.goto("/")
    await page.locator("#user-choice").select_option("kiri")
    await expect(page.locator(".time-zone")).to_have_text("Times in Pacific/Kiritimati")
    await expect(page.locator(".messages")).to_contain_text("2 May 2024, 12:30")
    await actions.say("When does the ship sail?")
    assert "(Pacific/Kiritimati)" in _prompt(model)
    await page.context.close()
