"""Take the screenshots of the playground for the docs: `python scripts/screenshots.py http://127.0.0.1:8000`.

The service needs an empty data folder: `onionskin demo --web`.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

_IMAGES = Path(__file__).parents[1] / "docs" / "images"
_DESKTOP = ViewportSize(width=1280, height=800)
_TALL = ViewportSize(width=1280, height=1420)
_PHONE = ViewportSize(width=390, height=780)
_FACTS = (
    "Hi! My name is Ada and I live in Lisbon.",
    "My dog is called Biscuit; he is a three year old beagle.",
    "I work as a cartographer and mostly map coastlines.",
    "On Sundays I row along the river with my sister.",
    "Next spring we want to row as far as Porto.",
)
_MEMORY = {"content": "Is allergic to peanuts.", "pinned": True}
_QUESTIONS = ("I am back from the coast.", "What is my dog called?")


def _say(page: Page, message: str) -> None:
    messages = page.locator(".messages .message")
    before = messages.count()
    page.locator("#message").fill(message)
    page.locator("#message").press("Enter")
    expect(messages).to_have_count(before + 2)


def _take(page: Page, name: str) -> None:
    page.wait_for_timeout(700)
    page.screenshot(path=_IMAGES / f"playground-{name}.png")


def main() -> None:
    """Send messages, then take the screenshots."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(base_url=sys.argv[1], viewport=_DESKTOP, color_scheme="light")
        page.add_init_script("sessionStorage.setItem('onionskin.banner', 'yes')")
        page.goto("/")
        page.wait_for_selector("body[data-ready]")
        page.get_by_role("button", name="Close the demo").click()
        for message in _FACTS:
            _say(page, message)
        page.request.post("/v1/users/me/memories", data=_MEMORY)
        page.locator("#new-session").click()
        expect(page.locator(".messages .message")).to_have_count(0)
        for message in _QUESTIONS:
            _say(page, message)
        _take(page, "light")
        page.set_viewport_size(_TALL)
        page.locator("#inspector").screenshot(path=_IMAGES / "playground-inspector.png")
        page.set_viewport_size(_DESKTOP)
        page.emulate_media(color_scheme="dark")
        _take(page, "dark")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(_PHONE)
        _take(page, "phone")
        page.set_viewport_size(_DESKTOP)
        page.locator("#compare-toggle").click()
        page.locator("#message").fill("Where do I live?")
        page.locator("#message").press("Enter")
        expect(page.locator(".compared-turn button")).to_have_count(2)
        page.locator("#side-0 .compared-turn button").click()
        expect(page.locator("#shown .asked")).to_have_text("Where do I live?")
        _take(page, "compare")
        browser.close()


if __name__ == "__main__":
    main()
