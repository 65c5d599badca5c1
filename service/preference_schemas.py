"""Preferences as they come in and go out over HTTP."""

from datetime import datetime

from pydantic import BaseModel

from service.memory_schemas import Body, Content


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
