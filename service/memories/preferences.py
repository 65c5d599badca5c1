"""Preferences: memories whose topic is a category; each is in every prompt, within a budget."""

from onionskin.memory.errors import UnknownRecordError
from onionskin.memory.records.service import RecordService
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import Record

_PREFIX = "preference:"


def category_of(record: Record) -> str:
    """The category of a preference."""
    return (record.topic or "").removeprefix(_PREFIX)


async def all_preferences(records: RecordService, user: User) -> list[Record]:
    """The user's active preferences, sorted by category."""
    now = records.clock()
    active = [record for record in await records.index(user) if record.is_recalled(now)]
    return sorted(
        (record for record in active if (record.topic or "").startswith(_PREFIX)), key=category_of
    )


async def find_preference(records: RecordService, user: User, category: str) -> Record:
    """The preference of a category.

    Raises:
        UnknownRecordError: The category has no preference.
    """
    now, topic = records.clock(), f"{_PREFIX}{category}"
    for record in await records.index(user):
        if record.topic == topic and record.is_alive(now):
            return record
    raise UnknownRecordError(topic)


async def set_preference(records: RecordService, user: User, category: str, content: str) -> Record:
    """Create or replace the preference of a category."""
    draft = {
        "content": content,
        "kind": "preference",
        "topic": f"{_PREFIX}{category}",
        "archived": False,
    }
    return (await records.create(user, [draft]))[0]


async def forget_preference(records: RecordService, user: User, category: str) -> Record:
    """Delete the preference of a category and return it.

    Raises:
        UnknownRecordError: The category has no preference.
    """
    record = await find_preference(records, user, category)
    await records.delete(user, [record.id])
    return record
