"""What a look at a part of the service found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, how it stands, and what to do.

    Attributes:
        name: of the part, such as `redis`.
        state: `warn` runs, but not as well as it should; with `fail` a service does not start, or
            loses what it is told.
        advice: what to do; '' where nothing is to be done.
    """

    name: str
    state: State
    told: str
    advice: str = ""
