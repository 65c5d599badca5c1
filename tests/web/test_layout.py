"""The page at any width, and by the keyboard alone."""

from typing import Literal

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


async def test_a_tablet_shows_the_whole_title_and_no_way_to_where_one_is(desk: Desk) -> None:
    await desk.open("tablet")
    await desk.say("My name is Ada and I live in Lisbon.")
    await desk.page.set_viewport_size({"width": 820, "height": 1100})
    title = desk.page.locator("#talk-head h2")
    await expect(title).to_have_text("My name is Ada and I live in Lisbon.")
    cut = "(one) => one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight"
    assert await title.evaluate(cut) is False
    ways = desk.page.locator("#panes-nav button").filter(visible=True)
    await expect(ways).to_have_text(["Sessions", "Inspect"])
    for way in ("Sessions", "Inspect"):
        await desk.click(way, inside=desk.page.locator("#panes-nav"))
        await expect(ways.and_(desk.page.locator("[aria-current=true]"))).to_have_text([way])
    await desk.page.set_viewport_size({"width": 390, "height": 760})
    await expect(ways).to_have_text(["Sessions", "Talk", "Inspect"])


@pytest.mark.parametrize("width", [1440, 820, 390])
async def test_the_composer_is_as_high_when_one_begins_to_write(desk: Desk, width: int) -> None:
    await desk.open(f"beginner-{width}")
    await desk.page.set_viewport_size({"width": width, "height": 760})
    composer = desk.page.locator("#composer")
    before = await composer.bounding_box()
    await desk.page.locator("#message").fill("O")
    assert await composer.bounding_box() == before
    await desk.page.locator("#message").fill("One line,\nand another.")
    assert await composer.bounding_box() != before


@pytest.mark.parametrize("width", [1440, 820, 390])
async def test_a_comparison_ends_above_the_composer(desk: Desk, width: int) -> None:
    await desk.open(f"divided-{width}")
    await desk.page.set_viewport_size({"width": width, "height": 760})
    await desk.click("Compare")
    sides = await desk.page.locator(".sides").bounding_box()
    composer = await desk.page.locator("#composer").bounding_box()
    title = await desk.page.locator("#talk-head h2").bounding_box()
    end = await desk.page.locator("#compare-toggle").bounding_box()
    assert sides
    assert composer
    assert title
    assert end
    assert sides["y"] + sides["height"] + 8 <= composer["y"]
    assert end["y"] <= title["y"] <= end["y"] + end["height"]


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_theme_is_chosen_on_a_phone_by_the_keyboard(
    desk: Desk, scheme: Literal["light", "dark"]
) -> None:
    await desk.page.emulate_media(color_scheme=scheme)
    await desk.open(f"phone-{scheme}")
    await desk.page.set_viewport_size({"width": 390, "height": 760})
    for pane in ("Sessions", "Inspect", "Talk"):
        await desk.click(pane, inside=desk.page.locator("#panes-nav"))
        await expect(
            desk.page.get_by_role("button", name="Theme: auto", exact=True)
        ).to_be_visible()
    await desk.page.locator("#guide-toggle").focus()
    await desk.page.keyboard.press("Tab")
    for theme, paper in (("light", "rgb(245, 242, 236)"), ("dark", "rgb(20, 19, 18)")):
        await desk.page.keyboard.press("Enter")
        now = desk.page.get_by_role("button", name=f"Theme: {theme}", exact=True)
        await expect(now).to_be_focused()
        await expect(desk.page.locator("#spoken")).to_have_text(f"Theme: {theme}")
        await expect(desk.page.locator("html")).to_have_css("background-color", paper)
        assert await desk.violations() == []
    await desk.page.reload()
    await expect(desk.page.locator("html")).to_have_css("background-color", "rgb(20, 19, 18)")


@pytest.mark.parametrize("width", [320, 360, 390])
async def test_nothing_sticks_out_of_a_phone(desk: Desk, width: int) -> None:
    await desk.open(f"slim-{width}")
    await desk.page.set_viewport_size({"width": width, "height": 700})
    out = """() => [...document.querySelectorAll('.masthead *')].filter((one) =>
        one.getBoundingClientRect().right > innerWidth).map((one) => one.id || one.className)"""
    assert await desk.page.evaluate(out) == []
