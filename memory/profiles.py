"""Profiles: named sets of layers, from TOML, built into a CombinedMemory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.layers.base import Layer
from onionskin.memory.layers.facts import FactsLayer
from onionskin.memory.layers.langchain_classic import ClassicLayer
from onionskin.memory.layers.langchain_classic_factories import WITH_MODEL, ClassicOptions, Sources
from onionskin.memory.layers.summary import SummaryLayer
from onionskin.memory.layers.vector import VectorLayer
from onionskin.memory.layers.vector_database import VectorDatabaseLayer
from onionskin.memory.layers.window import EXCHANGE_TOKENS, WindowLayer
from onionskin.memory.privacy.policy import PrivacyPolicies, Redact, RedactionOptions
from onionskin.memory.privacy.retention import RetentionOptions
from onionskin.memory.records.extraction import ExtractionPolicy
from onionskin.memory.session_lock import OnConflict
from onionskin.memory.summarization import SummaryPolicy

LayerName = Literal["window", "summary", "facts", "vector", "classic"]
ClientHistory = Literal["client", "window"]
"""What a model sees of a conversation that the client sends: all of it, or the profile's window."""
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_LONGER_TURNS = 12
"""Messages that the turns of a window may have beyond a message and its answer each."""


class WindowOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[profiles.<name>.window]`."""

    keep_pairs: _Positive = 6
    budget_tokens: _Positive = 3000
    exchange_tokens: _Positive = EXCHANGE_TOKENS


class SummaryOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[profiles.<name>.summary]`."""

    budget_tokens: _Positive = 800
    carry_tokens: _Count = 1000
    fold_messages: _Count = 60
    fold_tokens: _Count = 2000


class VectorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[profiles.<name>.vector]`."""

    top_k: _Positive = 20
    budget_tokens: _Positive = 1200
    neighbours: _Count = 0
    database: bool = True


class FactsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[profiles.<name>.facts]`."""

    top_k: _Count = 10
    pinned_tokens: _Positive = 600
    budget_tokens: _Positive = 600


class ExtractionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[profiles.<name>.extraction]`."""

    enabled: bool = False
    messages: _Positive = 6
    quiet_seconds: _Positive = 60
    batch: _Positive = 40
    known: _Count = 24


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[profiles.<name>]`: the layers in loading order, and their options."""

    layers: tuple[LayerName, ...]
    on_conflict: OnConflict = "queue"
    client_history: ClientHistory = "client"
    redact: Redact | None = None
    window: WindowOptions = WindowOptions()
    summary: SummaryOptions = SummaryOptions()
    facts: FactsOptions = FactsOptions()
    extraction: ExtractionOptions = ExtractionOptions()
    vector: VectorOptions = VectorOptions()
    classic: ClassicOptions = ClassicOptions()

    @property
    def summary_policy(self) -> SummaryPolicy | None:
        """When sessions are summarized; None without a summary layer."""
        if "summary" not in self.layers:
            return None
        return SummaryPolicy(
            keep_pairs=self.window.keep_pairs if "window" in self.layers else 1,
            messages=self.summary.fold_messages if "window" in self.layers else 0,
            tokens=self.summary.fold_tokens,
            window_tokens=self.window.budget_tokens,
            summary_tokens=self.summary.budget_tokens,
        )

    @property
    def extraction_policy(self) -> ExtractionPolicy | None:
        """When records are extracted from sessions; None if extraction is off."""
        options = self.extraction
        if not options.enabled:
            return None
        return ExtractionPolicy(
            messages=options.messages,
            quiet_seconds=float(options.quiet_seconds),
            batch=max(options.batch, options.messages),
            known=options.known,
        )

    @property
    def budgets(self) -> dict[str, int]:
        """The token budget of each layer that has one."""
        bounds = {
            "window": self.window.budget_tokens + self.window.exchange_tokens,
            "summary": self.summary.budget_tokens + self.summary.carry_tokens,
            "facts": self.facts.pinned_tokens + self.facts.budget_tokens,
            "vector": self.vector.budget_tokens,
        }
        return {name: bounds[name] for name in self.layers if name in bounds}

    @property
    def searches(self) -> bool:
        """Whether a layer searches the user's indexes."""
        return "vector" in self.layers or "facts" in self.layers

    @property
    def needs_model(self) -> bool:
        """Whether a layer needs a chat model."""
        return "classic" in self.layers and self.classic.memory in WITH_MODEL

    @property
    def window_size(self) -> int:
        """The most session messages that a turn reads; 0 for all that are not summarized."""
        if "summary" in self.layers:
            return 0
        if "window" not in self.layers:
            return 1
        return 2 * self.window.keep_pairs + _LONGER_TURNS


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    profiles: dict[str, Profile] = {}
    redaction: RedactionOptions = RedactionOptions()
    retention: RetentionOptions = RetentionOptions()


def load_profiles(path: Path | None = None) -> dict[str, Profile]:
    """The built-in profiles and those of the file at `path`, which override them.

    Raises:
        ConfigurationError: The file cannot be read, or has an unknown option.
    """
    profiles = _read(Path(__file__).with_name("profiles.toml")).profiles
    return profiles | (_read(path).profiles if path else {})


def load_privacy_policies(
    path: Path | None, profiles: Mapping[str, Profile], mode: Redact
) -> PrivacyPolicies:
    """The privacy policies, from the `[redaction]` table of the file at `path`.

    Args:
        path: The profiles file, if any.
        profiles: Profiles, which may choose their own mode.
        mode: Mode of other profiles, and of text outside of any profile.

    Raises:
        ConfigurationError: The file cannot be read, or a pattern is invalid.
    """
    options = _read(path).redaction if path else RedactionOptions()
    others: frozenset[Redact] = frozenset(
        profile.redact for profile in profiles.values() if profile.redact
    )
    return PrivacyPolicies(options, mode, others=others)


def load_retention(path: Path | None) -> RetentionOptions:
    """The retention periods, from the `[retention]` table of the file at `path`.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    return _read(path).retention if path else RetentionOptions()


def build_layers(profile: Profile, sources: Sources) -> tuple[Layer, ...]:
    """The layers of a profile.

    Raises:
        ConfigurationError: A layer needs a chat model and none is configured.
    """
    return tuple(_FACTORIES[name](profile, sources) for name in profile.layers)


def _window(profile: Profile, _: Sources) -> Layer:
    keep_pairs = None if "summary" in profile.layers else profile.window.keep_pairs
    return WindowLayer(
        keep_pairs=keep_pairs,
        budget_tokens=profile.window.budget_tokens,
        exchange_tokens=profile.window.exchange_tokens,
    )


def _summary(profile: Profile, _: Sources) -> Layer:
    return SummaryLayer(
        budget_tokens=profile.summary.budget_tokens,
        carry_tokens=profile.summary.carry_tokens,
        exchange_tokens=0 if "window" in profile.layers else profile.window.exchange_tokens,
        window_tokens=profile.window.budget_tokens,
    )


def _facts(profile: Profile, _: Sources) -> Layer:
    options = profile.facts
    return FactsLayer(
        top_k=options.top_k,
        pinned_tokens=options.pinned_tokens,
        budget_tokens=options.budget_tokens,
    )


def _vector(profile: Profile, sources: Sources) -> Layer:
    if sources.vector_database:
        return VectorDatabaseLayer(
            sources.vector_database,
            sources.store,
            top_k=profile.vector.top_k,
            budget_tokens=profile.vector.budget_tokens,
        )
    return VectorLayer(
        top_k=profile.vector.top_k,
        budget_tokens=profile.vector.budget_tokens,
        neighbours=profile.vector.neighbours,
    )


def _classic(profile: Profile, sources: Sources) -> Layer:
    return ClassicLayer(profile.classic, sources)


_FACTORIES: dict[LayerName, Callable[[Profile, Sources], Layer]] = {
    "window": _window,
    "summary": _summary,
    "facts": _facts,
    "vector": _vector,
    "classic": _classic,
}


def _read(path: Path) -> _File:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(
            f"The profiles file {str(path)!r} cannot be used: {error}."
        ) from error
