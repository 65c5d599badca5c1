"""The page at any width, and with only the keyboard."""

from typing import Literal

import pytest
from playwright.async_api import expect

from tests.web.page_actions import PageActions

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("width", [760, 820, 1000, 1200])
async def test_no_pane_covers_another(actions: PageActions, width: int) -> None:
    await actions.open(f"narrow-{width}")
    await actions.say("My dog is called Biscuit, and this is what a very long title is made of.")
    await actions.page.set_viewport_size({"width": width, "height": 800})
    edges: list[float] = await actions.page.evaluate(
        """['.send', '#compare-toggle', '.composer', '.inspector'].map((one) => {
             const box = document.querySelector(one).getBoundingClientRect();
             return one === '.inspector' ? box.left : box.right;
           })"""
    )
    *rights, inspector = edges
    assert max(rights) <= inspector


async def test_a_tablet_shows_the_whole_title_and_no_way_to_where_one_is(
    actions: PageActions,
) -> None:
    await actions.open("tablet")
    await actions.say("My name is Ada and I live in Lisbon.")
    await actions.page.set_viewport_size({"width": 820, "height": 1100})
    title = actions.page.locator("#talk-head h2")
    await expect(title).to_have_text("My name is Ada and I live in Lisbon.")
    cut = "(one) => one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight"
    assert await title.evaluate(cut) is False
    ways = actions.page.locator("#panes-nav button").filter(visible=True)
    await expect(ways).to_have_text(["Sessions", "Inspect"])
    for way in ("Sessions", "Inspect"):
        await actions.click(way, inside=actions.page.locator("#panes-nav"))
        await expect(ways.and_(actions.page.locator("[aria-current=true]"))).to_have_text([way])
    await actions.page.set_viewport_size({"width": 390, "height": 760})
    await expect(ways).to_have_text(["Sessions", "Talk", "Inspect"])


@pytest.mark.parametrize("width", [1440, 820, 390])
async def test_the_composer_is_as_high_when_one_begins_to_write(
    actions: PageActions, width: int
) -> None:
    await actions.open(f"beginner-{width}")
    await actions.page.set_viewport_size({"width": width, "height": 760})
    composer = actions.page.locator("#composer")
    before = await composer.bounding_box()
    await actions.page.locator("#message").fill("O")
    assert await composer.bounding_box() == before
    await actions.page.locator("#message").fill("One line,\nand another.")
    assert await composer.bounding_box() != before


@pytest.mark.parametrize("width", [1440, 820, 390])
async def test_a_comparison_ends_above_the_composer(actions: PageActions, width: int) -> None:
    await actions.open(f"divided-{width}")
    await actions.page.set_viewport_size({"width": width, "height": 760})
    await actions.click("Compare")
    sides = await actions.page.locator(".sides").bounding_box()
    composer = await actions.page.locator("#composer").bounding_box()
    title = await actions.page.locator("#talk-head h2").bounding_box()
    end = await actions.page.locator("#compare-toggle").bounding_box()
    assert sides
    assert composer
    assert title
    assert end
    assert sides["y"] + sides["height"] + 8 <= composer["y"]
    assert end["y"] <= title["y"] <= end["y"] + end["height"]


async def test_the_keyboard_stays_where_it_was(actions: PageActions) -> None:
    await actions.open("typist")
    await actions.say("My dog is called Biscuit.")

    async def focused() -> str:
        return await actions.page.evaluate("document.activeElement.textContent.slice(0, 20)")

    await actions.page.get_by_role("button", name="Rename").focus()
    await actions.page.keyboard.press("Enter")
    await actions.page.get_by_label("Title").fill("Renamed")
    await actions.page.keyboard.press("Enter")
    await expect(actions.page.locator(".session-title")).to_have_text("Renamed")
    assert await focused() == "Rename"
    await actions.page.get_by_role("button", name="Close", exact=True).focus()
    await actions.page.keyboard.press("Enter")
    await expect(actions.page.locator(".session-meta")).to_contain_text("closed")
    assert await actions.page.evaluate("document.activeElement !== document.body")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_theme_is_chosen_on_a_phone_by_the_keyboard(
    actions: PageActions, scheme: Literal["light", "dark"]
) -> None:
    await actions.page.emulate_media(color_scheme=scheme)
    await actions.open(f"phone-{scheme}")
    await actions.page.set_viewport_size({"width": 390, "height": 760})
    for pane in ("Sessions", "Inspect", "Talk"):
        await actions.click(pane, inside=actions.page.locator("#panes-nav"))
        await expect(
            actions.page.get_by_role("button", name="Theme: auto", exact=True)
        ).to_be_visible()
    await actions.page.locator("#guide-toggle").focus()
    await actions.page.keyboard.press("Tab")
    for theme, paper in (("light", "rgb(245, 242, 236)"), ("dark", "rgb(20, 19, 18)")):
        await actions.page.keyboard.press("Enter")
        now = actions.page.get_by_role("button", name=f"Theme: {theme}", exact=True)
        await expect(now).to_be_focused()
        await expect(actions.page.locator("#spoken")).to_have_text(f"Theme: {theme}")
        await expect(actions.page.locator("html")).to_have_css("background-color", paper)
        assert await actions.violations() == []
    await actions.page.reload()
    await expect(actions.page.locator("html")).to_have_css("background-color", "rgb(20, 19, 18)")


@pytest.mark.parametrize("width", [320, 360, 390])
async def test_nothing_sticks_out_of_a_phone(actions: PageActions, width: int) -> None:
    await actions.open(f"slim-{width}")
    await actions.page.set_viewport_size({"width": width, "height": 700})
    out = """() => [...document.querySelectorAll('.masthead *')].filter((one) =>
        one.getBoundingClientRect().right > innerWidth).map((one) => one.id || one.className)"""
    assert await actions.page.evaluate(out) == []
