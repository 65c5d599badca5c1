"""How many copies of a write there must be before it is acknowledged.

| `STRATA_DURABILITY` | what is acknowledged is                                       |
|---------------------|---------------------------------------------------------------|
| `primary`           | on the primary, as safe as its `appendfsync` makes it         |
| `replicas:1`        | in the memory of so many of its replicas too (`WAIT`)         |
| `disks:1`           | on the primary's disk, and on those of so many (`WAITAOF`)    |
"""

import re
from dataclasses import dataclass
from typing import Literal, Self, cast

from memory.errors import ConfigurationError

_WRITTEN = re.compile(r"primary|(replicas|disks):(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Durability:
    """Where a write must have come to, and on how many replicas."""

    where: Literal["primary", "replicas", "disks"] = "primary"
    replicas: int = 0

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `primary`, `replicas:<n>` or `disks:<n>`.

        Raises:
            ConfigurationError: it is none of them.
        """
        found = _WRITTEN.fullmatch(text)
        if not found or text == "replicas:0":
            raise ConfigurationError(
                f"STRATA_DURABILITY cannot be {text!r}; use primary, replicas:<n> with n of 1 or "
                "more, or disks:<n>."
            )
        if not found[1]:
            return cls()
        return cls(cast("Literal['replicas', 'disks']", found[1]), int(found[2]))

    @property
    def waits(self) -> bool:
        """Whether it takes more than the primary's answer."""
        return self.where != "primary"

    def command(self, milliseconds: int) -> tuple[str | int, ...]:
        """What waits for it, for so long at the most."""
        if self.where == "disks":
            return ("WAITAOF", 1, self.replicas, milliseconds)
        return ("WAIT", self.replicas, milliseconds)

    def is_met(self, reply: int | list[int]) -> bool:
        """Whether the answer to the command says so."""
        if isinstance(reply, list):
            return reply[0] >= 1 and reply[1] >= self.replicas
        return reply >= self.replicas

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.where}:{self.replicas}" if self.waits else self.where
