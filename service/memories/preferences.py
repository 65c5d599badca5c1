"""A user's preferences, by category: memories that are in every prompt.

Preferences as they come in and go out over HTTP.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from onionskin.memory.errors import UnknownRecordError
from onionskin.memory.types.records import Record
from onionskin.service.dependencies import OwnerDep, StateDep, StoringDep
from onionskin.service.errors import problem_responses
from onionskin.service.memories.schemas import Body, Content
from onionskin.service.schemas import utc


class Preference(BaseModel):
    """A preference of the user; it is in every prompt, within a budget."""

    category: str
    content: str
    updated: datetime


class PreferenceBody(Body):
    """What the user prefers."""

    content: Content


class Preferences(BaseModel):
    """The user's preferences by category."""

    preferences: list[Preference]


router = APIRouter(prefix="/v1/users/{user_id}/preferences", tags=["memories"])
Category = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,64}$", examples=["diet"])]
_TOPIC = "preference:"


@router.get("", responses=problem_responses(404, 422))
async def list_preferences(user: OwnerDep, state: StateDep) -> Preferences:
    """Every preference that has a category."""
    now = state.records.clock()
    found = [one for one in await state.records.index(user) if one.is_recalled(now)]
    named = [one for one in found if (one.topic or "").startswith(_TOPIC)]
    return Preferences(preferences=[_shown(one) for one in sorted(named, key=_category)])


@router.put("/{category}", responses=problem_responses(404, 409, 422, 507))
async def put_preference(
    user: StoringDep, category: Category, body: PreferenceBody, state: StateDep
) -> Preference:
    """Set the preference of a category."""
    draft = {
        "content": body.content,
        "kind": "preference",
        "topic": f"{_TOPIC}{category}",
        "archived": False,
    }
    return _shown((await state.records.create(user, [draft]))[0])


@router.get("/{category}", responses=problem_responses(404, 422))
async def get_preference(user: OwnerDep, category: Category, state: StateDep) -> Preference:
    """The preference of a category."""
    return _shown(_of(await _named(user, category, state), category))


@router.delete("/{category}", responses=problem_responses(404, 409, 422))
async def delete_preference(user: OwnerDep, category: Category, state: StateDep) -> Preference:
    """Forget the preference of a category; it is what comes back."""
    found = _of(await _named(user, category, state), category)
    await state.records.delete(user, [found.id])
    return _shown(found)


async def _named(user: OwnerDep, category: str, state: StateDep) -> Record | None:
    now, topic = state.records.clock(), f"{_TOPIC}{category}"
    index = await state.records.index(user)
    return next((one for one in index if one.topic == topic and one.is_alive(now)), None)


def _of(record: Record | None, category: str) -> Record:
    if record is None:
        raise UnknownRecordError(f"{_TOPIC}{category}")
    return record


def _category(record: Record) -> str:
    return (record.topic or "").removeprefix(_TOPIC)


def _shown(record: Record) -> Preference:
    return Preference(
        category=_category(record), content=record.content, updated=utc(record.updated)
    )
