"""Short notes stand beside what is said, never over it."""

import asyncio
import json
from typing import Any, Literal

import pytest
from playwright.async_api import expect

from tests.openai_server import OpenAIServer
from tests.services import Service
from tests.web.desk import Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")

_WIDTHS = {1440: 900, 820: 1100, 390: 760}
_SOON_MS = 4_000  # a note stays for six seconds
_CLEAR = """() => {
  const box = (one) => document.querySelector(one)?.getBoundingClientRect();
  const room = box('#transcript');
  const last = [...document.querySelectorAll('.messages .message')].at(-1).getBoundingClientRect();
  const covered = ['#composer', '#transcript'].map(box);
  const notes = [...document.querySelectorAll('.note')].filter((one) => one.checkVisibility());
  const isClear = (note) => note.top >= 0 && note.left >= 0 && note.right <= innerWidth
    && covered.every((one) => note.bottom <= one.top || note.top >= one.bottom);
  return notes.length && notes.every((note) => !note.getAnimations().length)
    && notes.every((note) => isClear(note.getBoundingClientRect()))
    && last.top >= room.top && last.bottom <= room.bottom + 1;
}"""
_PLACES = """() => Object.fromEntries([
  ...document.querySelectorAll(
    'body > :not(.notes), .masthead *, .pane, .talk > *, .message, .session, .sheet > *'),
].map((one, place) => {
  const { x, y, width, height } = one.getBoundingClientRect();
  return [`${place} ${one.id || one.className}`, [x, y, width, height].join(' ')];
}))"""
_COPY = "This is an independent copy; the original does not change."


def _talkative(service: Service, user: str) -> None:
    """A user whose session is longer than any screen."""
    lines = [
        {"role": ("user", "assistant")[at % 2], "content": f"Line {at} of a long conversation."}
        for at in range(40)
    ]
    with service.client() as client:
        body = "\n".join(json.dumps(line) for line in lines)
        client.post(f"/v1/users/{user}/import", content=body).raise_for_status()


async def _note(desk: Desk, text: str) -> None:
    """Show a note, and nothing else."""
    await desk.page.evaluate("async (text) => (await import('/web/js/notes.js')).note(text)", text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", _WIDTHS)
async def test_a_note_covers_neither_the_last_message_nor_the_composer(
    desk: Desk, service: Service, width: int, scheme: Literal["light", "dark"]
) -> None:
    user = f"noted-{width}-{scheme}"
    _talkative(service, user)
    await desk.page.emulate_media(color_scheme=scheme)
    await desk.open(user)
    await expect(desk.said).to_have_count(40)
    await desk.page.set_viewport_size({"width": width, "height": _WIDTHS[width]})
    await desk.page.get_by_role("button", name="Fork here").last.click()
    await expect(desk.page.locator(".note")).to_have_text(_COPY)
    await desk.page.wait_for_function(_CLEAR, timeout=_SOON_MS)
    assert await desk.violations() == []
    for _ in range(2):
        await _note(desk, _COPY)
    await desk.page.wait_for_function(_CLEAR, timeout=_SOON_MS)


async def _settled(desk: Desk) -> object:
    """Where everything is, once the page has taken on its size."""
    before: object = None
    async with asyncio.timeout(30):
        while (now := await desk.page.evaluate(_PLACES)) != before:
            before = now
            await desk.page.evaluate("new Promise((done) => setTimeout(done, 200))")
    return before


@pytest.mark.parametrize("width", _WIDTHS)
async def test_nothing_moves_when_a_note_comes_or_goes(
    desk: Desk, service: Service, width: int
) -> None:
    _talkative(service, f"still-{width}")
    await desk.page.clock.install()
    await desk.open(f"still-{width}")
    await desk.page.set_viewport_size({"width": width, "height": _WIDTHS[width]})
    await expect(desk.said).to_have_count(40)
    await expect(desk.page.locator("#m-39")).to_be_in_viewport(ratio=1)
    before = await _settled(desk)
    told = desk.page.locator("#notes[role=status][aria-live=polite] .note")
    for text in ("Deleted.", _COPY):
        await _note(desk, text)
        await expect(told.last).to_have_text(text)
        assert await desk.page.evaluate(_PLACES) == before
    for left in (1, 0):
        await desk.page.clock.fast_forward(6_000)
        await expect(told).to_have_count(left)
        assert await desk.page.evaluate(_PLACES) == before


async def test_the_latest_note_is_seen_and_those_that_it_covered_are_seen_after_it(
    desk: Desk,
) -> None:
    await desk.open("noticed")
    for text in ("Too old.", "First.", "Second.", "Third."):
        await _note(desk, text)
    notes = desk.page.locator(".note")
    await expect(notes).to_have_count(3)
    for text in ("Third.", "Second.", "First."):
        await expect(notes.filter(visible=True)).to_have_text([text])
        await desk.page.get_by_text(text).click()
    await expect(notes).to_have_count(0)


async def test_whoever_reads_further_up_stays_there_when_a_note_comes(
    desk: Desk, service: Service
) -> None:
    _talkative(service, "upwards")
    await desk.open("upwards")
    await expect(desk.said).to_have_count(40)
    room = "document.querySelector('#transcript')"
    await desk.page.wait_for_function(
        f"() => {room}.scrollTop + {room}.clientHeight >= {room}.scrollHeight - 1"
    )
    await desk.page.evaluate(f"{room}.scrollTo({{ top: 300, behavior: 'instant' }})")
    await expect(desk.page.locator("#m-5")).to_be_in_viewport()
    await desk.click("Close")
    await expect(desk.page.locator(".note")).to_contain_text("Closed")
    assert await desk.page.evaluate(f"{room}.scrollTop") == 300


_AT_END = """() => [...document.querySelectorAll('.side')].map((side) =>
  side.scrollHeight > side.clientHeight
  && side.scrollTop + side.clientHeight >= side.scrollHeight - 1)"""


async def test_both_sides_of_a_comparison_stay_at_their_end(
    desk: Desk, service: Service, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "reply", _lengthy)
    with service.client() as client:
        kept = {"content": "Plays the cello."}
        client.post("/v1/users/weigher/memories", json=kept).raise_for_status()
    await desk.open("weigher")
    await desk.page.locator("#tab-memories").click()
    await desk.click("Compare")
    await desk.write("What do I play?")
    await expect(desk.page.locator(".compared-turn button")).to_have_count(2)
    assert await desk.page.evaluate(_AT_END) == [True, True]
    await desk.click("Delete", inside=desk.page.locator("#memories"))
    await expect(desk.page.locator(".note")).to_contain_text("Deleted.")
    await desk.page.wait_for_function(f"() => ({_AT_END})().every(Boolean)", timeout=_SOON_MS)
    await desk.page.locator("#message").fill("One line,\nanother one,\nand a third.")
    await desk.page.set_viewport_size({"width": 820, "height": 700})
    await desk.page.wait_for_function(f"() => ({_AT_END})().every(Boolean)", timeout=_SOON_MS)


async def test_whoever_reads_further_up_in_a_comparison_stays_there(
    desk: Desk, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "reply", _lengthy)
    await desk.open("rereader")
    await desk.click("Compare")
    await desk.write("What do I play?")
    await expect(desk.page.locator(".compared-turn button")).to_have_count(2)
    side = desk.page.locator("#side-0")
    await side.evaluate(
        "(side) => new Promise((seen) => { side.onscroll = seen; side.scrollTop = 40; })"
    )
    await desk.page.set_viewport_size({"width": 1440, "height": 700})
    await desk.page.locator("#side-profile-0").select_option("none")
    assert await side.evaluate("(side) => side.scrollTop") == 40
    await desk.write("And what else?")
    await expect(desk.page.locator(".compared-turn button")).to_have_count(4)
    assert await desk.page.evaluate(_AT_END) == [True, True]


def _lengthy(_: Any) -> str:
    return "\n".join(f"Line {at} of an answer." for at in range(60))
