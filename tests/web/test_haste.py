"""Who is faster than the page: clicks while it redraws, words on the way to another session."""

import asyncio

import pytest
from playwright.async_api import Route, expect

from tests.services import Service
from tests.web.desk import Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")

_AT_END = """() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector('#transcript');
  return scrollHeight > clientHeight && scrollTop + clientHeight >= scrollHeight - 1;
}"""


async def _late(route: Route) -> None:
    await asyncio.sleep(1)
    await route.continue_()


async def test_a_button_is_clicked_though_what_is_around_it_changes_meanwhile(desk: Desk) -> None:
    await desk.open("presser")
    figures = desk.page.locator("#user .figures")
    await expect(figures).to_contain_text("0 messages")
    is_known, is_pressed = asyncio.Event(), asyncio.Event()

    async def seen(route: Route) -> None:
        await is_pressed.wait()
        response = await route.fetch()
        await route.fulfill(response=response)
        if (await response.json())["messages"]:
            is_known.set()

    await desk.page.route("**/presser/stats", seen)
    await desk.write("Hello!")
    await desk.page.get_by_role("button", name="New user", exact=True).hover()
    await desk.page.mouse.down()
    is_pressed.set()
    async with asyncio.timeout(30):
        await is_known.wait()
    later = "fetch('/v1/users/presser/stats').then((answer) => answer.json())"
    await desk.page.evaluate(later)  # by then the page has taken in the answer before
    await expect(figures).to_contain_text("0 messages")
    await desk.page.mouse.up()
    await expect(desk.page.get_by_role("dialog")).to_be_visible()
    await expect(figures).to_contain_text("2 messages")
    await desk.page.keyboard.press("Escape")


async def _press_while_an_answer_comes(desk: Desk, user: str) -> None:
    """Three turns, a fourth under way, and its answer come while "Fork here" is pressed."""
    is_pressed = asyncio.Event()

    async def held(route: Route) -> None:
        await is_pressed.wait()
        await route.continue_()

    await desk.page.set_viewport_size({"width": 1440, "height": 480})
    await desk.open(user)
    for text in ("One.", "Two.", "Three."):
        await desk.say(text)
    await desk.page.route("**/v1/chat", held)
    await desk.write("\n".join(["A long one."] * 20))
    await desk.page.get_by_role("button", name="Fork here").last.hover()
    await desk.page.mouse.down()
    is_pressed.set()
    await expect(desk.page.locator("#spoken")).to_contain_text("A long one.")
    await expect(desk.said).to_have_count(6)


async def test_a_button_keeps_its_place_while_an_answer_comes(desk: Desk) -> None:
    await _press_while_an_answer_comes(desk, "waverer")
    await desk.page.mouse.up()
    await expect(desk.page.locator(".note")).to_contain_text("This is a copy")
    await expect(desk.said).to_have_count(6)
    await expect(desk.page.locator(".session")).to_have_count(2)


async def test_a_press_that_ends_elsewhere_holds_nothing_up(desk: Desk) -> None:
    await _press_while_an_answer_comes(desk, "wanderer")
    await desk.page.locator("#message").hover()
    await desk.page.mouse.up()
    await expect(desk.said).to_have_count(8)
    await desk.page.wait_for_function(_AT_END)  # who followed still does
    await expect(desk.page.locator(".session")).to_have_count(1)


async def test_what_is_sent_on_the_way_to_a_new_session_is_said_there(
    desk: Desk, service: Service
) -> None:
    await desk.open("hasty")
    await desk.say("In the first session.")
    await desk.page.route("**/hasty/sessions", _late)
    await desk.click("New session")
    await desk.write("In the second session.")
    await desk.page.locator("#message").press("Enter")  # impatience sends nothing twice
    await expect(desk.page.locator("#message")).to_have_value("In the second session.")
    await expect(desk.said.first).to_contain_text("In the second session.")
    await expect(desk.said).to_have_count(2)
    await expect(desk.page.locator("#message")).to_have_value("")
    with service.client() as client:
        told = client.get("/v1/users/hasty/sessions").raise_for_status().json()["sessions"]
    assert [one["messages"] for one in told] == [2, 2]


async def test_what_is_sent_on_the_way_is_not_said_as_the_user_chosen_meanwhile(
    desk: Desk, service: Service
) -> None:
    await desk.open("stranger")
    await desk.say("As stranger.")
    await desk.open("changer")
    await desk.page.route("**/changer/sessions", _late)
    await desk.click("New session")
    await desk.write("As changer.")
    await desk.page.locator("#user-choice").select_option("stranger")
    await desk.page.wait_for_timeout(2_500)  # longer than both late answers
    await expect(desk.page.locator("#message")).to_have_value("As changer.")
    await expect(desk.said).to_have_count(2)
    with service.client() as client:
        told = client.get("/v1/users/stranger/sessions").raise_for_status().json()["sessions"]
    assert [one["messages"] for one in told] == [2]


async def test_what_was_sent_stays_in_the_field_where_no_session_could_be_begun(desk: Desk) -> None:
    await desk.open("stranded")
    await desk.page.route("**/stranded/sessions", _refused)
    await desk.click("New session")
    await desk.write("To nobody yet.")
    await expect(desk.page.locator("#notes")).to_contain_text("Out of order.")
    await expect(desk.page.locator("#message")).to_have_value("To nobody yet.")
    await expect(desk.said).to_have_count(0)
    await desk.page.locator("#message").press("Enter")
    await expect(desk.said).to_have_count(2)


async def _refused(route: Route) -> None:
    await asyncio.sleep(1)
    if route.request.method == "POST":
        await route.fulfill(status=503, json={"code": "broken", "detail": "Out of order."})
    else:
        await route.continue_()
