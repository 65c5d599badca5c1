"""Input that is faster than the page: clicks while it redraws, messages while a session opens."""

import asyncio

import pytest
from playwright.async_api import Route, expect

from tests.services import Service
from tests.web.page_actions import PageActions

pytestmark = pytest.mark.asyncio(loop_scope="module")

_AT_END = """() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector('#transcript');
  return scrollHeight > clientHeight && scrollTop + clientHeight >= scrollHeight - 1;
}"""


async def _late(route: Route) -> None:
    await asyncio.sleep(1)
    await route.continue_()


async def test_a_pressed_button_is_clicked_although_its_surroundings_change(
    actions: PageActions,
) -> None:
    await actions.open("presser")
    figures = actions.page.locator("#user .figures")
    await expect(figures).to_contain_text("0 messages")
    is_known, is_pressed = asyncio.Event(), asyncio.Event()

    async def seen(route: Route) -> None:
        await is_pressed.wait()
        response = await route.fetch()
        await route.fulfill(response=response)
        if (await response.json())["messages"]:
            is_known.set()

    await actions.page.route("**/presser/stats", seen)
    await actions.write("Hello!")
    await actions.page.get_by_role("button", name="New user", exact=True).hover()
    await actions.page.mouse.down()
    is_pressed.set()
    async with asyncio.timeout(30):
        await is_known.wait()
    later = "fetch('/v1/users/presser/stats').then((answer) => answer.json())"
    await actions.page.evaluate(later)  # by then the page has taken in the answer before
    await expect(figures).to_contain_text("0 messages")
    await actions.page.mouse.up()
    await expect(actions.page.get_by_role("dialog")).to_be_visible()
    await expect(figures).to_contain_text("2 messages")
    await actions.page.keyboard.press("Escape")


async def _press_while_an_answer_comes(actions: PageActions, user: str) -> None:
    """Send three turns and a fourth, whose answer comes while "Fork here" is pressed."""
    is_pressed = asyncio.Event()

    async def held(route: Route) -> None:
        await is_pressed.wait()
        await route.continue_()

    await actions.page.set_viewport_size({"width": 1440, "height": 480})
    await actions.open(user)
    for text in ("One.", "Two.", "Three."):
        await actions.say(text)
    await actions.page.route("**/v1/chat", held)
    await actions.write("\n".join(["A long one."] * 20))
    await actions.page.get_by_role("button", name="Fork here").last.hover()
    await actions.page.mouse.down()
    is_pressed.set()
    await expect(actions.page.locator("#spoken")).to_contain_text("A long one.")
    await expect(actions.messages).to_have_count(6)


async def test_a_button_keeps_its_place_while_an_answer_comes(actions: PageActions) -> None:
    await _press_while_an_answer_comes(actions, "waverer")
    await actions.page.mouse.up()
    await expect(actions.page.locator(".note")).to_contain_text("This is an independent copy")
    await expect(actions.messages).to_have_count(6)
    await expect(actions.page.locator(".session")).to_have_count(2)


async def test_a_press_that_ends_elsewhere_blocks_nothing(actions: PageActions) -> None:
    await _press_while_an_answer_comes(actions, "wanderer")
    await actions.page.locator("#message").hover()
    await actions.page.mouse.up()
    await expect(actions.messages).to_have_count(8)
    await actions.page.wait_for_function(_AT_END)  # who followed still does
    await expect(actions.page.locator(".session")).to_have_count(1)


async def test_a_message_sent_while_a_session_opens_goes_to_that_session(
    actions: PageActions, service: Service
) -> None:
    await actions.open("hasty")
    await actions.say("In the first session.")
    await actions.page.route("**/hasty/sessions", _late)
    await actions.click("New session")
    await actions.write("In the second session.")
    await actions.page.locator("#message").press("Enter")  # impatience sends nothing twice
    await expect(actions.page.locator("#message")).to_have_value("In the second session.")
    await expect(actions.messages.first).to_contain_text("In the second session.")
    await expect(actions.messages).to_have_count(2)
    await expect(actions.page.locator("#message")).to_have_value("")
    with service.client() as client:
        sessions = client.get("/v1/users/hasty/sessions").raise_for_status().json()["sessions"]
    assert [session["messages"] for session in sessions] == [2, 2]


async def test_a_message_is_not_sent_as_a_user_who_was_chosen_later(
    actions: PageActions, service: Service
) -> None:
    await actions.open("stranger")
    await actions.say("As stranger.")
    await actions.open("changer")
    await actions.page.route("**/changer/sessions", _late)
    await actions.click("New session")
    await actions.write("As changer.")
    await actions.page.locator("#user-choice").select_option("stranger")
    await actions.page.wait_for_timeout(2_500)  # longer than both late answers
    await expect(actions.page.locator("#message")).to_have_value("As changer.")
    await expect(actions.messages).to_have_count(2)
    with service.client() as client:
        told = client.get("/v1/users/stranger/sessions").raise_for_status().json()["sessions"]
    assert [one["messages"] for one in told] == [2]


async def test_a_message_stays_in_the_field_if_no_session_could_be_created(
    actions: PageActions,
) -> None:
    await actions.open("stranded")
    await actions.page.route("**/stranded/sessions", _refused)
    await actions.click("New session")
    await actions.write("To nobody yet.")
    await expect(actions.page.locator("#notes")).to_contain_text("Out of order.")
    await expect(actions.page.locator("#message")).to_have_value("To nobody yet.")
    await expect(actions.messages).to_have_count(0)
    await actions.page.locator("#message").press("Enter")
    await expect(actions.messages).to_have_count(2)


async def _refused(route: Route) -> None:
    await asyncio.sleep(1)
    if route.request.method == "POST":
        await route.fulfill(status=503, json={"code": "broken", "detail": "Out of order."})
    else:
        await route.continue_()
