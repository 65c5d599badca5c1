"""Talking, sessions, users, memories and comparing, as people do it in a browser."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.attacks import SHAPES
from tests.openai_server import Fault, OpenAIServer
from tests.web.desk import Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")
_HOSTILE = (
    "<script>document.title = 'PWNED'</script>",
    "<img src=x onerror=\"document.title='PWNED'\">",
    *(SHAPES[place].format("<b>Obey.</b>") for place in (1, 3, 11, 19)),
)

_AXE = """async () => (await axe.run()).violations.map(
  (one) => [one.id, one.nodes.map((node) => node.html)])"""


async def test_an_answer_can_be_stopped_and_tried_again(desk: Desk, model: OpenAIServer) -> None:
    await desk.open("stopper")
    model.fault = Fault(token_delay=timedelta(seconds=1))
    await desk.write("one two three four five six seven eight nine ten")
    await expect(desk.page.locator(".pending .text").last).to_contain_text("You")
    await desk.page.keyboard.press("Escape")
    await expect(desk.page.get_by_text("Stopped. Nothing of this turn is stored.")).to_be_visible()
    model.fault = None
    await desk.click("Try again")
    await expect(desk.said).to_have_count(2)
    await expect(desk.said.last).to_contain_text("nine ten")


async def test_the_memory_of_a_live_session_is_swapped(desk: Desk) -> None:
    await desk.open("swapper")
    await desk.say("My dog is called Biscuit.")
    await expect(desk.shown.locator(".stratum[data-layer=vector]")).to_be_visible()
    await desk.page.locator("#profile").select_option("window")
    await desk.say("What is my dog called?")
    await expect(desk.shown.locator(".stratum")).to_have_count(1)
    await expect(desk.shown.locator(".stratum[data-layer=window]")).to_contain_text("Biscuit")


async def test_sessions_are_made_renamed_forked_closed_and_switched(desk: Desk) -> None:
    await desk.open("sorter")
    page, sessions = desk.page, desk.page.locator(".session")
    await desk.say("I live in Lisbon.")
    await desk.click("Rename")
    await page.get_by_label("Title").fill("Lisbon")
    await page.keyboard.press("Enter")
    await expect(page.locator("#talk-head h2")).to_have_text("Lisbon")
    await desk.click("Fork")
    await expect(page.locator("#talk-head h2")).to_have_text("Fork of Lisbon")
    await expect(desk.said).to_have_count(2)
    await desk.click("New session")
    await expect(sessions).to_have_count(3)
    await sessions.filter(has_text="Fork of Lisbon").locator(".session-open").click()
    await desk.click("Close", page.locator(".session[data-open]"))
    await expect(page.locator("#message")).to_be_disabled()


async def test_a_fold_is_drawn_and_a_recalled_turn_leads_to_its_source(desk: Desk) -> None:
    await desk.open("folder")
    await desk.say("My aunt Lucia restores old clocks in Porto.")
    for number in range(13):
        await desk.say(f"Note {number}: " + "the weather at sea was calm and grey today. " * 4)
    await expect(desk.page.locator(".fold")).to_contain_text("folded into the summary")
    await desk.say("What does my aunt Lucia restore?")
    source = desk.shown.locator(".source").filter(has_text="aunt Lucia restores").first
    await expect(source).to_be_visible()
    await expect(desk.shown.locator(".part").first).to_be_visible()
    await source.click()
    await expect(desk.page.locator("#m-0")).to_be_focused()


async def test_memories_are_added_edited_pinned_found_archived_and_deleted(desk: Desk) -> None:
    await desk.open("keeper")
    page, cards = desk.page, desk.page.locator(".memory")
    await page.locator("#tab-memories").click()
    await desk.click("Add")
    await page.get_by_label("What to remember").fill("Prefers tea.")
    await desk.click("Keep")
    await expect(cards).to_have_count(1)
    await desk.click("Edit")
    await page.get_by_label("What to remember").fill("Prefers green tea.")
    await desk.click("Save")
    await expect(cards).to_contain_text("green tea")
    await desk.click("Pin")
    await expect(cards.locator(".chip")).to_have_text("pinned")
    await page.locator("#memory-query").fill("tea")
    await expect(page.get_by_text("1 memory found")).to_be_visible()
    await desk.click("Archive")
    await expect(cards).to_have_count(0)
    await page.locator("#memory-archived").check()
    await desk.click("Delete", page.locator("#memories"))
    await expect(cards).to_have_count(0)


async def test_a_user_is_exported_erased_and_imported(desk: Desk, tmp_path: Path) -> None:
    await desk.open("mover")
    await desk.say("I play the cello.")
    async with desk.page.expect_download() as download:
        await desk.click("Export")
    await (await download.value).save_as(tmp_path / "mover.jsonl")
    assert json.loads((tmp_path / "mover.jsonl").read_text().splitlines()[0])
    await desk.click("Erase")
    await desk.click("Erase everything")
    await expect(desk.page.get_by_text("Erased: 2 messages")).to_be_visible()
    await desk.open("mover")
    await desk.page.locator("#import-file").set_input_files(tmp_path / "mover.jsonl")
    await expect(desk.said.first).to_contain_text("I play the cello.")


async def test_two_memories_answer_one_message(desk: Desk) -> None:
    await desk.open("judge")
    await desk.say("I was born in Lima.")
    await desk.click("Compare")
    await desk.write("Where was I born?")
    await expect(desk.page.locator(".duel .text").filter(has_text="You said:")).to_have_count(2)
    await desk.click("Go on with this")
    await expect(desk.said).to_have_count(4)


async def test_stored_text_never_becomes_markup(desk: Desk) -> None:
    await desk.open("mallory")
    for text in _HOSTILE:
        await desk.say(text.strip())
        await expect(desk.said.nth(-2).locator(".text")).to_have_text(text.strip())
    assert (
        await desk.page.locator(".said script, .said img, .said .text b, #shown img").count() == 0
    )
    assert await desk.page.title() == "Strata"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_is_accessible(desk: Desk, page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await desk.open(f"reader-{scheme}")
    await desk.say("I like the sea.")
    await expect(desk.shown.locator(".stratum").first).to_be_visible()
    found = await page.evaluate(_AXE)
    assert found == []


async def test_a_phone_shows_one_pane_without_scrolling_sideways(desk: Desk, page: Page) -> None:
    await desk.open("walker")
    await page.set_viewport_size({"width": 360, "height": 740})
    await desk.say("x" * 300)
    for pane in ("Sessions", "Inspect", "Talk"):
        await page.locator("#panes-nav").get_by_text(pane).click()
        rights = "() => [...document.querySelectorAll('.pane')].map((one) => one.scrollWidth)"
        assert max(await page.evaluate(rights)) <= 360
