"""What the TOML file says of privacy, and the policies it makes."""

from typing import Annotated

import msgspec

from memory.privacy.discretion import Discretion, Redact
from memory.privacy.redaction import Kind, Redactor

_MOST_PATTERNS = 50
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]


class RedactionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[redaction]`: what personal data are, wherever they are redacted."""

    kinds: tuple[Kind, ...] = ("email", "card", "ip", "phone")
    patterns: Annotated[dict[_Name, str], msgspec.Meta(max_length=_MOST_PATTERNS)] = {}


class Discretions:
    """The policies of a service: one by default, and others of profiles that have their own.

    Args:
        options: what personal data are.
        mode: what becomes of them by default.
        others: what becomes of them in profiles.

    Raises:
        ConfigurationError: a pattern cannot be used.
    """

    def __init__(
        self, options: RedactionOptions, mode: Redact = "off", *, others: frozenset[Redact]
    ) -> None:
        redactor = Redactor(options.kinds, options.patterns)
        self._of: dict[Redact, Discretion] = {
            one: Discretion(one, redactor) for one in ("off", "stored", "model")
        }
        self.default = self._of[mode]
        redacts = (others | {mode}) - {"off"}
        self.strictest = self._of["stored"] if redacts else self._of["off"]

    def of(self, mode: Redact | None) -> Discretion:
        """The policy of a profile; the default where it says nothing."""
        return self.default if mode is None else self._of[mode]
