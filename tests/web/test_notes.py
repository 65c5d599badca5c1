"""Short notes never cover messages."""

import asyncio
import json
from typing import Any, Literal

import pytest
from playwright.async_api import expect

from tests.openai_server import OpenAIServer
from tests.services import Service
from tests.web.page_actions import PageActions

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


def _create_long_session(service: Service, user: str) -> None:
    """A user whose session is longer than any screen."""
    lines = [
        {"role": ("user", "assistant")[at % 2], "content": f"Line {at} of a long conversation."}
        for at in range(40)
    ]
    with service.client() as client:
        body = "\n".join(json.dumps(line) for line in lines)
        client.post(f"/v1/users/{user}/import", content=body).raise_for_status()


async def _note(actions: PageActions, text: str) -> None:
    """Display one note."""
    await actions.page.evaluate(
        "async (text) => (await import('/web/js/notes.js')).note(text)", text
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", _WIDTHS)
async def test_a_note_covers_neither_the_last_message_nor_the_composer(
    actions: PageActions, service: Service, width: int, scheme: Literal["light", "dark"]
) -> None:
    user = f"noted-{width}-{scheme}"
    _create_long_session(service, user)
    await actions.page.emulate_media(color_scheme=scheme)
    await actions.open(user)
    await expect(actions.messages).to_have_count(40)
    await actions.page.set_viewport_size({"width": width, "height": _WIDTHS[width]})
    await actions.page.get_by_role("button", name="Fork here").last.click()
    await expect(actions.page.locator(".note")).to_have_text(_COPY)
    await actions.page.wait_for_function(_CLEAR, timeout=_SOON_MS)
    assert await actions.violations() == []
    for _ in range(2):
        await _note(actions, _COPY)
    await actions.page.wait_for_function(_CLEAR, timeout=_SOON_MS)


async def _settled(actions: PageActions) -> object:
    """The positions of all parts, once the layout has settled."""
    before: object = None
    async with asyncio.timeout(30):
        while (now := await actions.page.evaluate(_PLACES)) != before:
            before = now
            await actions.page.evaluate("new Promise((done) => setTimeout(done, 200))")
    return before


@pytest.mark.parametrize("width", _WIDTHS)
async def test_nothing_moves_when_a_note_comes_or_goes(
    actions: PageActions, service: Service, width: int
) -> None:
    _create_long_session(service, f"still-{width}")
    await actions.page.clock.install()
    await actions.open(f"still-{width}")
    await actions.page.set_viewport_size({"width": width, "height": _WIDTHS[width]})
    await expect(actions.messages).to_have_count(40)
    await expect(actions.page.locator("#m-39")).to_be_in_viewport(ratio=1)
    before = await _settled(actions)
    notes = actions.page.locator("#notes[role=status][aria-live=polite] .note")
    for text in ("Deleted.", _COPY):
        await _note(actions, text)
        await expect(notes.last).to_have_text(text)
        assert await actions.page.evaluate(_PLACES) == before
    for left in (1, 0):
        await actions.page.clock.fast_forward(6_000)
        await expect(notes).to_have_count(left)
        assert await actions.page.evaluate(_PLACES) == before


async def test_the_latest_note_is_visible_and_then_those_below_it(
    actions: PageActions,
) -> None:
    await actions.open("noticed")
    for text in ("Too old.", "First.", "Second.", "Third."):
        await _note(actions, text)
    notes = actions.page.locator(".note")
    await expect(notes).to_have_count(3)
    for text in ("Third.", "Second.", "First."):
        await expect(notes.filter(visible=True)).to_have_text([text])
        await actions.page.get_by_text(text).click()
    await expect(notes).to_have_count(0)


async def test_a_reader_further_up_stays_there_when_a_note_comes(
    actions: PageActions, service: Service
) -> None:
    _create_long_session(service, "upwards")
    await actions.open("upwards")
    await expect(actions.messages).to_have_count(40)
    room = "document.querySelector('#transcript')"
    await actions.page.wait_for_function(
        f"() => {room}.scrollTop + {room}.clientHeight >= {room}.scrollHeight - 1"
    )
    await actions.page.evaluate(f"{room}.scrollTo({{ top: 300, behavior: 'instant' }})")
    await expect(actions.page.locator("#m-5")).to_be_in_viewport()
    await actions.click("Close")
    await expect(actions.page.locator(".note")).to_contain_text("Closed")
    assert await actions.page.evaluate(f"{room}.scrollTop") == 300


_AT_END = """() => [...document.querySelectorAll('.side')].map((side) =>
  side.scrollHeight > side.clientHeight
  && side.scrollTop + side.clientHeight >= side.scrollHeight - 1)"""


async def test_both_sides_of_a_comparison_stay_at_their_end(
    actions: PageActions, service: Service, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "reply", _lengthy)
    with service.client() as client:
        kept = {"content": "Plays the cello."}
        client.post("/v1/users/weigher/memories", json=kept).raise_for_status()
    await actions.open("weigher")
    await actions.page.locator("#tab-memories").click()
    await actions.click("Compare")
    await actions.write("What do I play?")
    await expect(actions.page.locator(".compared-turn button")).to_have_count(2)
    assert await actions.page.evaluate(_AT_END) == [True, True]
    await actions.click("Delete", inside=actions.page.locator("#memories"))
    await expect(actions.page.locator(".note")).to_contain_text("Deleted.")
    await actions.page.wait_for_function(f"() => ({_AT_END})().every(Boolean)", timeout=_SOON_MS)
    await actions.page.locator("#message").fill("One line,\nanother one,\nand a third.")
    await actions.page.set_viewport_size({"width": 820, "height": 700})
    await actions.page.wait_for_function(f"() => ({_AT_END})().every(Boolean)", timeout=_SOON_MS)


async def test_a_reader_further_up_in_a_comparison_stays_there(
    actions: PageActions, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "reply", _lengthy)
    await actions.open("rereader")
    await actions.click("Compare")
    await actions.write("What do I play?")
    await expect(actions.page.locator(".compared-turn button")).to_have_count(2)
    side = actions.page.locator("#side-0")
    await side.evaluate(
        "(side) => new Promise((seen) => { side.onscroll = seen; side.scrollTop = 40; })"
    )
    await actions.page.set_viewport_size({"width": 1440, "height": 700})
    await actions.page.locator("#side-profile-0").select_option("none")
    assert await side.evaluate("(side) => side.scrollTop") == 40
    await actions.write("And what else?")
    await expect(actions.page.locator(".compared-turn button")).to_have_count(4)
    assert await actions.page.evaluate(_AT_END) == [True, True]


def _lengthy(_: Any) -> str:
    return "\n".join(f"Line {at} of an answer." for at in range(60))
