"""When a session goes on, and what a new one takes up."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Continuity:
    """When a session goes on, and what a new one takes up from earlier ones."""

    idle_timeout: timedelta = timedelta(minutes=30)
    sessions: int = 5
    last_messages: int = 6
