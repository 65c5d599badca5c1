"""Actions of a person on the page."""

from typing import Any

from playwright.async_api import Locator, Page, expect


class PageActions:
    """A page with the actions of a person."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def open(self, user: str) -> None:
        """Load the page, and create a user."""
        await self.page.goto("/")
        await self.page.wait_for_selector("body[data-ready]")
        await self.click("New user")
        await self.page.get_by_label("User id").fill(user)
        await self.page.keyboard.press("Enter")
        await expect(self.page.locator("#user-choice")).to_have_value(user)

    async def click(self, name: str, inside: Locator | None = None) -> None:
        button = (inside or self.page).get_by_role("button", name=name, exact=True)
        await button.first.click()

    async def write(self, message: str) -> None:
        await self.page.locator("#message").fill(message)
        await self.page.locator("#message").press("Enter")

    async def say(self, message: str) -> None:
        """Send a message, and wait until the stored answer is displayed."""
        before = await self.messages.count()
        await self.write(message)
        await expect(self.messages).to_have_count(before + 2)

    async def violations(self) -> list[str]:
        """The violations that axe-core reports."""
        report: dict[str, Any] = await self.page.evaluate("axe.run()")
        return [
            f"{violation['id']}: {violation['nodes'][0]['html'][:60]}"
            for violation in report["violations"]
        ]

    @property
    def messages(self) -> Locator:
        return self.page.locator(".messages .message")

    @property
    def shown(self) -> Locator:
        return self.page.locator("#shown")
