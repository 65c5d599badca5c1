"""The page with authentication, and with the demo that kills the server."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Error, Page, Route, expect

from tests.services import environment, run_command, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_key_is_asked_for_and_kept_for_the_tab_only(
    browser: Browser, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    made = run_command(
        ["keys", "create", "--json"],
        environment=environment(ONIONSKIN_DATA_DIR=str(data)),
        check=True,
    )
    key = json.loads(made.stdout)["key"]
    with running_service(data, ONIONSKIN_AUTH="keys", ONIONSKIN_MODEL="offline") as service:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(service.url)
        await page.locator("#key").fill("sk-onionskin-wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("That key was refused.")).to_be_visible()
        await page.locator("#key").fill(key)
        await page.keyboard.press("Enter")
        await expect(page.locator("#inuse")).to_contain_text("Offline model")
        assert key not in json.dumps(await context.storage_state())
        await page.set_viewport_size({"width": 320, "height": 640})
        for name in ("Forget key", "Theme: auto"):
            box = await page.get_by_role("button", name=name).bounding_box()
            assert box
            assert box["x"] + box["width"] <= 320
        other = await context.new_page()
        await other.goto(service.url)
        await expect(other.locator("#key")).to_be_visible()
        await context.close()


@contextmanager
def _demo(log: Path) -> Generator[str]:
    command = [sys.executable, "-P", "-m", "onionskin.service", "demo", "--web", "--port", "0"]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(ONIONSKIN_MODEL="offline", PYTHONUNBUFFERED="1"),
        ) as process,
    ):
        try:
            found = (re.search(r"http://[^\s/]+", line) for line in process.stdout or ())
            yield next(one[0] for one in found if one)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


async def test_a_killed_server_comes_back_and_remembers(browser: Browser, tmp_path: Path) -> None:
    with _demo(tmp_path / "log") as url:
        page = await browser.new_page()
        await page.goto(url)
        await page.get_by_role("button", name="Say them").click()
        await expect(page.locator(".messages .message")).to_have_count(6)
        await expect(page.locator("#kill")).to_be_enabled()
        await page.locator("#kill").click()
        await expect(page.locator(".log")).to_contain_text("answers,", timeout=60_000)
        await page.get_by_role("button", name="Ask what it remembers").click()
        await expect(page.locator(".messages .message")).to_have_count(4)
        await expect(page.locator(".messages")).to_contain_text("Biscuit")
        await expect(page.locator(".messages")).to_contain_text("peanuts")
        await expect(page.locator("#guide")).to_contain_text("It still knows.")
        await page.get_by_role("button", name="New user").click()  # a user without the facts
        await page.get_by_label("User id").fill("zed")
        await page.keyboard.press("Enter")
        await expect(page.locator("#user-choice")).to_have_value("zed")
        await expect(page.locator(".messages .message")).to_have_count(0)
        await page.get_by_role("button", name="Ask what it remembers").click()
        await expect(page.locator("#guide")).to_contain_text("It does not know.")
        await expect(page.locator("#guide")).not_to_contain_text("It still knows.")
        await page.close()


async def test_the_demo_resumes_at_its_step(browser: Browser, tmp_path: Path) -> None:
    with _demo(tmp_path / "log") as url:
        page = await browser.new_page()
        step = page.locator("#guide [aria-current=step]")
        await page.goto(url)
        await page.get_by_role("button", name="Say them").click()
        await expect(page.locator("#kill")).to_be_enabled()
        await page.reload()
        await expect(step).to_contain_text("Kill the server")
        await expect(page.locator(".messages .message")).to_have_count(6)
        await page.locator("#kill").click()
        await expect(page.locator(".log")).to_contain_text("got SIGKILL")
        await _reloaded(page)
        await expect(page.locator(".log")).to_contain_text("answers,", timeout=60_000)
        await expect(step).to_contain_text("Ask")
        await page.get_by_role("button", name="Close the demo").click()
        await page.reload()
        await page.wait_for_selector("body[data-ready]")
        await expect(page.locator("#guide")).to_be_hidden()
        await page.locator("#guide-toggle").click()
        await expect(step).to_contain_text("Ask")
        await page.get_by_role("button", name="Ask what it remembers").click()
        await expect(page.locator("#guide")).to_contain_text("It still knows.")
        await page.reload()
        await expect(page.locator("#guide")).to_contain_text("It still knows.")
        assert (await page.request.delete(f"{url}/v1/users/me")).ok  # as on another scratch folder
        await page.reload()
        await expect(step).to_contain_text("Send facts")
        await page.close()


async def test_the_demo_waits_until_the_user_is_loaded(browser: Browser, tmp_path: Path) -> None:
    with _demo(tmp_path / "log") as url:
        page = await browser.new_page()
        await page.route("**/v1/users?*", _late)
        await page.goto(url)
        await page.get_by_role("button", name="Say them").click()
        await expect(page.locator(".messages .message")).to_have_count(6)
        users = await (await page.request.get(f"{url}/v1/users")).json()
        assert [one["user_id"] for one in users["users"]] == ["me"]
        await page.close()


async def _late(route: Route) -> None:
    await asyncio.sleep(1)
    await route.continue_()


async def _reloaded(page: Page) -> None:
    """Load the page again as soon as the server answers."""
    for _ in range(600):
        try:
            await page.reload()
        except Error:
            await page.wait_for_timeout(100)
        else:
            return
    raise TimeoutError
