"""Preferences: memories of that kind, or with the topic of a category.

While they are current, each is in every prompt, within a budget. `PUT` sets one per category, under
the topic `preference:<category>`. Others have the topic `preference:<category>/<random
letters>`, or a topic of their own, or none, if they were extracted.
"""

import secrets
import string
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from onionskin.memory.errors import UnknownRecordError
from onionskin.memory.records.service import RecordService
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import Record
from onionskin.service.memories.schemas import Body, CategoryName, Content
from onionskin.service.schemas import utc

_PREFIX, _SEPARATOR = "preference:", "/"
_LETTERS = 20


def category_of(record: Record) -> str | None:
    """The category of a preference; None if it belongs to none."""
    topic = record.topic or ""
    if topic.startswith(_PREFIX):
        return topic.removeprefix(_PREFIX).partition(_SEPARATOR)[0]
    return topic or None


async def all_preferences(
    records: RecordService, user: User, is_current: Callable[[Record], bool]
) -> list[Record]:
    """The user's current preferences, sorted by category; those without one follow."""
    found = [
        record
        for record in await records.index(user)
        if _is_preference(record) and is_current(record)
    ]
    return sorted(found, key=lambda one: (category_of(one) is None, category_of(one), one.created))


async def find_preference(
    records: RecordService, user: User, category: str, is_current: Callable[[Record], bool]
) -> Record:
    """The preference that was set for a category, else the latest of those that belong to it.

    Raises:
        UnknownRecordError: The category has no preference.
    """
    topic = f"{_PREFIX}{category}"
    found = [
        record
        for record in await all_preferences(records, user, is_current)
        if category_of(record) == category
    ]
    if not found:
        raise UnknownRecordError(topic)
    return max(found, key=lambda record: (record.topic == topic, record.updated))


async def set_preference(
    records: RecordService, user: User, category: str, options: Mapping[str, Any]
) -> Record:
    """Create or replace the preference that is set for a category.

    Args:
        records: The user's records.
        user: Owner of the preference.
        category: Its category.
        options: Fields of `Record`, at least `content`.
    """
    return await _create(records, user, f"{_PREFIX}{category}", options)


async def add_preference(
    records: RecordService, user: User, category: str, options: Mapping[str, Any]
) -> Record:
    """Create a preference beside those that its category has; arguments as `set_preference`."""
    name = "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LETTERS))
    return await _create(records, user, f"{_PREFIX}{category}{_SEPARATOR}{name}", options)


async def forget_preference(
    records: RecordService, user: User, category: str, is_current: Callable[[Record], bool]
) -> Record:
    """Delete the preference that `find_preference` finds, and return it.

    Raises:
        UnknownRecordError: The category has no preference.
    """
    record = await find_preference(records, user, category, is_current)
    await records.delete(user, [record.id])
    return record


async def _create(
    records: RecordService, user: User, topic: str, options: Mapping[str, Any]
) -> Record:
    draft = {"kind": "preference", "topic": topic, "archived": False, **options}
    return (await records.create(user, [draft]))[0]


def _is_preference(record: Record) -> bool:
    return record.kind == "preference" or (record.topic or "").startswith(_PREFIX)


class Preference(BaseModel):
    """A preference of the user; it is in every prompt, within a budget."""

    id: str = Field(description="Its id as a memory.")
    category: str | None = Field(description="Null if it belongs to none, as an extracted one.")
    content: str
    updated: datetime
    pinned: bool = Field(description="Whether it is among the first in a prompt's budget.")

    @classmethod
    def of(cls, record: Record) -> "Preference":
        """The schema of a record."""
        return cls(
            id=record.id,
            category=category_of(record),
            content=record.content,
            updated=utc(record.updated),
            pinned=record.pinned,
        )


class PreferenceBody(Body):
    """A preference to set."""

    content: Content
    pinned: bool | None = Field(default=None, description="Default: as it is; false if it is new.")

    def options(self) -> dict[str, Any]:
        """The fields that the request sets, with the names of a record."""
        pinned = {} if self.pinned is None else {"pinned": self.pinned}
        return {"content": self.content, **pinned}


class NewPreference(PreferenceBody):
    """A preference to add to a category."""

    category: CategoryName


class Preferences(BaseModel):
    """The user's preferences, sorted by category."""

    preferences: list[Preference]
