"""What a person does on the page."""

from typing import Any

from playwright.async_api import Locator, Page, expect


class Desk:
    """The page, by what one does there."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def open(self, user: str) -> None:
        """Load the page, and begin as a new user."""
        await self.page.goto("/")
        await self.page.wait_for_selector("body[data-ready]")
        await self.click("New user")
        await self.page.get_by_label("User id").fill(user)
        await self.page.keyboard.press("Enter")
        await expect(self.page.locator("#user-choice")).to_have_value(user)

    async def click(self, name: str, inside: Locator | None = None) -> None:
        found = (inside or self.page).get_by_role("button", name=name, exact=True)
        await found.first.click()

    async def write(self, message: str) -> None:
        await self.page.locator("#message").fill(message)
        await self.page.locator("#message").press("Enter")

    async def say(self, message: str) -> None:
        """Write, and wait until the answer is stored and shown."""
        before = await self.said.count()
        await self.write(message)
        await expect(self.said).to_have_count(before + 2)

    async def violations(self) -> list[str]:
        """What axe-core objects to."""
        found: dict[str, Any] = await self.page.evaluate("axe.run()")
        return [f"{one['id']}: {one['nodes'][0]['html'][:60]}" for one in found["violations"]]

    @property
    def said(self) -> Locator:
        return self.page.locator(".messages .message")

    @property
    def shown(self) -> Locator:
        return self.page.locator("#shown")
