"""Privacy policies: which text the model sees and which is stored, and their TOML options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias, cast

import msgspec

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.privacy.echo_removal import remove_echoes
from onionskin.memory.privacy.private_spans import split
from onionskin.memory.privacy.redaction import Kind, Redactor
from onionskin.memory.types.messages import Entry

Redact: TypeAlias = Literal["off", "stored", "model"]
"""Personal data are kept (`off`), not stored (`stored`), or hidden from the model too (`model`)."""
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class PreparedMessage:
    """A user's message under a privacy policy.

    Attributes:
        for_model: The text for the model.
        for_storage: The text for everything else: storage, embedding, search, observers.
        private_texts: Its private texts, which are removed from the answer.
    """

    for_model: str = field(repr=False)
    for_storage: str
    private_texts: tuple[str, ...] = field(default=(), repr=False)

    @property
    def has_private_text(self) -> bool:
        """Whether only the model may see some of the text."""
        return self.for_model != self.for_storage or bool(self.private_texts)


def _unchanged(text: str) -> str:
    return text


class PrivacyPolicy:
    """A policy for text. Every policy removes private spans from what is stored.

    Args:
        mode: Treatment of personal data.
        redact: Idempotent function that removes personal data from a text.
    """

    def __init__(self, mode: Redact = "off", redact: Callable[[str], str] = _unchanged) -> None:
        self.mode: Redact = mode
        self.redact = _unchanged if mode == "off" else redact

    @property
    def redacts(self) -> bool:
        """Whether personal data are removed before storage."""
        return self.mode != "off"

    def prepare_message(self, text: str) -> PreparedMessage:
        """A user's message, prepared for the model and for storage."""
        parts = split(text)
        return PreparedMessage(
            self.for_model(parts.for_model), self.redact(parts.for_storage), parts.private_texts
        )

    def for_storage(self, text: str) -> str:
        """A text of a user as it is stored."""
        return self.redact(split(text).for_storage)

    def answer_for_storage(self, text: str, private_texts: tuple[str, ...] = ()) -> str:
        """An answer as it is stored, without the private texts of its message."""
        return self.redact(remove_echoes(split(text, lone=False).for_storage, private_texts))

    def for_model(self, text: str) -> str:
        """A memory or an instruction as the model sees it."""
        return self.redact(text) if self.mode == "model" else text

    def for_model_outside_turn(self, text: str) -> str:
        """A text outside of a turn as the model sees it: without private spans."""
        return self.for_model(split(text).for_storage)

    def redact_entry(self, entry: Entry) -> Entry:
        """An entry that was stored under an earlier policy, redacted by this one."""
        message = entry.message
        content = self.redact(message.content)
        if content == message.content:
            return entry
        return replace(entry, message=replace(message, content=content))

    def redact_json(self, value: Any, *, depth: int = 0) -> Any:
        """Plain data with every text in it as `for_storage` returns it.

        Raises:
            InvalidInputError: The data are nested too deeply.
        """
        if depth > _DEEPEST:
            raise InvalidInputError(f"Data may be nested {_DEEPEST} levels deep.")
        inner = partial(self.redact_json, depth=depth + 1)
        match value:
            case str():
                return self.for_storage(value)
            case Mapping():
                items = cast("Mapping[str, Any]", value).items()
                return {self.for_storage(name): inner(item) for name, item in items}
            case list():
                return [inner(item) for item in cast("list[Any]", value)]
            case tuple():
                return tuple(inner(item) for item in cast("tuple[Any, ...]", value))
            case _:
                return value


UNREDACTED = PrivacyPolicy()
"""The policy that keeps personal data."""


_MOST_PATTERNS = 50
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]


class RedactionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[redaction]`: the kinds of personal data and further patterns to redact."""

    kinds: tuple[Kind, ...] = ("email", "card", "ip", "phone")
    patterns: Annotated[dict[_Name, str], msgspec.Meta(max_length=_MOST_PATTERNS)] = {}


class PrivacyPolicies:
    """The privacy policies of a deployment: a default, and those of individual profiles.

    Args:
        options: The kinds of personal data to redact.
        mode: Default treatment of personal data.
        others: Treatments that profiles choose instead.

    Raises:
        ConfigurationError: A pattern is invalid.
    """

    def __init__(
        self, options: RedactionOptions, mode: Redact = "off", *, others: frozenset[Redact]
    ) -> None:
        redactor = Redactor(options.kinds, options.patterns)
        self._by_mode: dict[Redact, PrivacyPolicy] = {
            each: PrivacyPolicy(each, redactor) for each in ("off", "stored", "model")
        }
        self.default = self._by_mode[mode]
        redacts = (others | {mode}) - {"off"}
        self.strictest = self._by_mode["stored"] if redacts else self._by_mode["off"]

    def of(self, mode: Redact | None) -> PrivacyPolicy:
        """The policy for a mode; the default for None."""
        return self.default if mode is None else self._by_mode[mode]
