"""The page at any width, and by the keyboard alone."""

import pytest
from playwright.async_api import expect

from tests.web.desk import Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("width", [760, 820, 1000, 1200])
async def test_no_pane_covers_another(desk: Desk, width: int) -> None:
    await desk.open(f"narrow-{width}")
    await desk.say("My dog is called Biscuit, and this is what a very long title is made of.")
    await desk.page.set_viewport_size({"width": width, "height": 800})
    edges: list[float] = await desk.page.evaluate(
        """['.send', '#compare-toggle', '.composer', '.inspector'].map((one) => {
             const box = document.querySelector(one).getBoundingClientRect();
             return one === '.inspector' ? box.left : box.right;
           })"""
    )
    *rights, inspector = edges
    assert max(rights) <= inspector


async def test_the_keyboard_stays_where_it_was(desk: Desk) -> None:
    await desk.open("typist")
    await desk.say("My dog is called Biscuit.")

    async def focused() -> str:
        return await desk.page.evaluate("document.activeElement.textContent.slice(0, 20)")

    await desk.page.get_by_role("button", name="Rename").focus()
    await desk.page.keyboard.press("Enter")
    await desk.page.get_by_label("Title").fill("Renamed")
    await desk.page.keyboard.press("Enter")
    await expect(desk.page.locator(".session-title")).to_have_text("Renamed")
    assert await focused() == "Rename"
    await desk.page.get_by_role("button", name="Close", exact=True).focus()
    await desk.page.keyboard.press("Enter")
    await expect(desk.page.locator(".session-meta")).to_contain_text("closed")
    assert await desk.page.evaluate("document.activeElement !== document.body")
