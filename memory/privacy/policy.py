"""The one place where words are prepared: what the model sees of them, and what is stored.

What the TOML file says of privacy, and the policies it makes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias, cast

import msgspec

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.privacy.echo_removal import remove_echoes
from onionskin.memory.privacy.private_spans import split, without_pairs
from onionskin.memory.privacy.redaction import Kind, Redactor
from onionskin.memory.types.messages import Entry

Redact: TypeAlias = Literal["off", "stored", "model"]
"""Personal data: left alone; not stored; neither stored nor shown to the model."""
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class PreparedMessage:
    """What a user says.

    Attributes:
        seen: what the model sees of it.
        kept: what everything else sees of it: stored, embedded, searched by, told to observers.
        secrets: its private texts, to be taken out of what answers it.
    """

    for_model: str = field(repr=False)
    for_storage: str
    private_texts: tuple[str, ...] = field(default=(), repr=False)

    @property
    def has_private_text(self) -> bool:
        """Whether the model sees something that nobody else may."""
        return self.for_model != self.for_storage or bool(self.private_texts)


def _as_it_is(text: str) -> str:
    return text


class PrivacyPolicy:
    """A policy, as a pure function of text. Private spans are respected by every one.

    Args:
        mode: what becomes of personal data.
        redact: a text without personal data; applied twice it changes nothing more.
    """

    def __init__(self, mode: Redact = "off", redact: Callable[[str], str] = _as_it_is) -> None:
        self.mode: Redact = mode
        self.redact = _as_it_is if mode == "off" else redact

    @property
    def redacts(self) -> bool:
        """Whether personal data are not stored."""
        return self.mode != "off"

    def prepare_message(self, text: str) -> PreparedMessage:
        """A user's words, for the model and for all others."""
        parts = split(text)
        return PreparedMessage(
            self.for_model(parts.for_model), self.redact(parts.for_storage), parts.private_texts
        )

    def for_storage(self, text: str) -> str:
        """What is stored of somebody's words."""
        return self.redact(split(text).for_storage)

    def answer_for_storage(self, text: str, private_texts: tuple[str, ...] = ()) -> str:
        """What is stored of an answer to a message with these secrets."""
        return self.redact(remove_echoes(without_pairs(text), private_texts))

    def for_model(self, text: str) -> str:
        """What the model sees of a text that is no user's message: memories, instructions."""
        return self.redact(text) if self.mode == "model" else text

    def for_model_outside_turn(self, text: str) -> str:
        """What the model sees of a text that is part of no turn: nothing private."""
        return self.for_model(split(text).for_storage)

    def redact_entry(self, entry: Entry) -> Entry:
        """A message that was stored before the policy was what it is."""
        message = entry.message
        content = self.redact(message.content)
        same = content == message.content
        return entry if same else replace(entry, message=replace(message, content=content))

    def redact_json(self, value: Any, *, depth: int = 0) -> Any:
        """What is stored of plain data: the same, with each text in it as `kept` has it.

        Raises:
            InvalidInputError: it is nested too deeply.
        """
        if depth > _DEEPEST:
            raise InvalidInputError(f"Data may be nested {_DEEPEST} levels deep.")
        inner = partial(self.redact_json, depth=depth + 1)
        match value:
            case str():
                return self.for_storage(value)
            case Mapping():
                items = cast("Mapping[str, Any]", value).items()
                return {self.for_storage(name): inner(one) for name, one in items}
            case list():
                return [inner(one) for one in cast("list[Any]", value)]
            case tuple():
                return tuple(inner(one) for one in cast("tuple[Any, ...]", value))
            case _:
                return value


UNREDACTED = PrivacyPolicy()
"""Personal data are left alone."""


_MOST_PATTERNS = 50
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]


class RedactionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[redaction]`: what personal data are, wherever they are redacted."""

    kinds: tuple[Kind, ...] = ("email", "card", "ip", "phone")
    patterns: Annotated[dict[_Name, str], msgspec.Meta(max_length=_MOST_PATTERNS)] = {}


class PrivacyPolicies:
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
        self._of: dict[Redact, PrivacyPolicy] = {
            one: PrivacyPolicy(one, redactor) for one in ("off", "stored", "model")
        }
        self.default = self._of[mode]
        redacts = (others | {mode}) - {"off"}
        self.strictest = self._of["stored"] if redacts else self._of["off"]

    def of(self, mode: Redact | None) -> PrivacyPolicy:
        """The policy of a profile; the default where it says nothing."""
        return self.default if mode is None else self._of[mode]
