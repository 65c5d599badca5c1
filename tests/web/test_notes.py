"""Short notes stand beside what is said, never over it."""

import json
from typing import Any

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
  const [note, composer, room] = ['.note', '#composer', '#transcript'].map(box);
  const last = [...document.querySelectorAll('.messages .said')].at(-1).getBoundingClientRect();
  const apart = (one) => note.bottom <= one.top || note.top >= one.bottom
    || note.right <= one.left || note.left >= one.right;
  const isRisen = !document.querySelector('.note')?.getAnimations().length;
  return note && isRisen && note.bottom <= innerHeight && apart(last) && apart(composer)
    && last.top >= room.top && last.bottom <= room.bottom;
}"""


def _talkative(service: Service, user: str) -> None:
    """A user whose session is longer than any screen."""
    lines = [
        {"role": ("user", "assistant")[at % 2], "content": f"Line {at} of a long conversation."}
        for at in range(40)
    ]
    with service.client() as client:
        body = "\n".join(json.dumps(line) for line in lines)
        client.post(f"/v1/users/{user}/import", content=body).raise_for_status()


@pytest.mark.parametrize("width", _WIDTHS)
async def test_a_note_covers_neither_the_last_message_nor_the_composer(
    desk: Desk, service: Service, width: int
) -> None:
    _talkative(service, f"noted-{width}")
    await desk.open(f"noted-{width}")
    await expect(desk.said).to_have_count(40)
    await desk.page.set_viewport_size({"width": width, "height": _WIDTHS[width]})
    await desk.page.get_by_role("button", name="Fork here").last.click()
    await expect(desk.page.locator(".note")).to_contain_text("This is a copy")
    await desk.page.wait_for_function(_CLEAR, timeout=_SOON_MS)
    assert await desk.violations() == []


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
    await expect(desk.page.locator(".duel button")).to_have_count(2)
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
    await expect(desk.page.locator(".duel button")).to_have_count(2)
    side = desk.page.locator("#side-0")
    await side.evaluate(
        "(side) => new Promise((seen) => { side.onscroll = seen; side.scrollTop = 40; })"
    )
    await desk.page.set_viewport_size({"width": 1440, "height": 700})
    await desk.page.locator("#side-profile-0").select_option("none")
    assert await side.evaluate("(side) => side.scrollTop") == 40
    await desk.write("And what else?")
    await expect(desk.page.locator(".duel button")).to_have_count(4)
    assert await desk.page.evaluate(_AT_END) == [True, True]


def _lengthy(_: Any) -> str:
    return "\n".join(f"Line {at} of an answer." for at in range(60))
