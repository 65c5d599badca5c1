"""Profiles: named sets of layers, from TOML, built into a CombinedMemory."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from onionskin.memory.context_window import ContextWindow
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.layers.base import Layer
from onionskin.memory.layers.custom import GuardedLayer, StrictLayer, load_custom_layer
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

ClientHistory = Literal["client", "window"]
"""What a model sees of a conversation that the client sends: all of it, or the profile's window."""
BUILT_IN = ("window", "summary", "facts", "vector", "classic")
"""The names of the built-in layers."""
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
    min_similarity: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
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


class AnswerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[profiles.<name>.model]`: arguments of the model calls that answer turns."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: _Positive | None = None
    stop: tuple[str, ...] | None = None

    def arguments(self) -> dict[str, Any]:
        """The options that are set."""
        return msgspec.to_builtins(self)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[profiles.<name>]`: the layers in loading order, and their options.

    Attributes:
        system: Instructions for the model, unless the request has its own.
        model: Arguments of the model calls, unless the request has its own.
        layers: Names of built-in layers, and paths of the operator's own.
        after_turn: Paths of functions and classes that are called with each stored turn.
        options: Arguments of the classes in `layers` and `after_turn`, by path.
        folder: Folder of the file that defines it, where its own modules are searched.
    """

    layers: tuple[str, ...]
    on_conflict: OnConflict = "queue"
    client_history: ClientHistory = "client"
    system: str = ""
    model: AnswerOptions = AnswerOptions()
    redact: Redact | None = None
    window: WindowOptions = WindowOptions()
    summary: SummaryOptions = SummaryOptions()
    facts: FactsOptions = FactsOptions()
    extraction: ExtractionOptions = ExtractionOptions()
    vector: VectorOptions = VectorOptions()
    classic: ClassicOptions = ClassicOptions()
    after_turn: tuple[str, ...] = ()
    options: dict[str, dict[str, Any]] = {}
    folder: str = ""

    def __post_init__(self) -> None:
        for layer in self.layers:
            if layer not in BUILT_IN and not _is_path(layer):
                raise ValueError(_unknown_layer(layer))
        if doubled := [name for name in self.layers if self.layers.count(name) > 1]:
            raise ValueError(f"the layer {doubled[0]!r} is listed twice")
        for path in self.after_turn:
            if not _is_path(path):
                raise ValueError(f"after_turn: {path!r} is no path such as 'my_hooks.on_turn'")
        for path in self.options:
            if path not in self.layers and path not in self.after_turn:
                raise ValueError(f"options of {path!r}, which is not in layers or after_turn")

    @property
    def custom_layers(self) -> tuple[str, ...]:
        """The paths of the operator's own layers."""
        return tuple(layer for layer in self.layers if layer not in BUILT_IN)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where modules that are not installed are searched: beside the file, and here."""
        here = Path.cwd()
        return (Path(self.folder), here) if self.folder else (here,)

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


def load_profiles(
    path: Path | None = None, context: ContextWindow | None = None
) -> dict[str, Profile]:
    """The built-in profiles and those of the file at `path`, which override them.

    Args:
        path: The profiles file, if any.
        context: The model's context window: budgets that no file sets follow it.

    Raises:
        ConfigurationError: The file cannot be read, or has an unknown option.
    """
    profiles = _read(Path(__file__).with_name("profiles.toml"), context).profiles
    if path is None:
        return profiles
    own = _read(path, context).profiles
    if placed := [name for name, profile in own.items() if profile.folder]:
        raise ConfigurationError(f"Profile {placed[0]!r} in {str(path)!r}: no option 'folder'.")
    folder = str(path.resolve().parent)
    return profiles | {
        name: msgspec.structs.replace(profile, folder=folder) for name, profile in own.items()
    }


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


def build_layers(
    profile: Profile, sources: Sources, *, name: str = "", strict: bool = False
) -> tuple[Layer, ...]:
    """The layers of a profile.

    Args:
        profile: The profile.
        sources: What the layers need.
        name: The profile's name, for error messages.
        strict: Whether an error in a layer of the operator, or in a classic memory, ends the turn.

    Raises:
        ConfigurationError: A layer cannot be made: its class is missing or is no layer, or it needs
            a chat model and none is configured.
    """
    layers: list[Layer] = []
    for layer_name in profile.layers:
        make = _FACTORIES.get(layer_name)
        layer = make(profile, sources) if make else _custom(layer_name, name, profile, sources)
        if make is None or layer_name == "classic":
            layer = StrictLayer(layer) if strict else GuardedLayer(layer)
        if any(layer.name == other.name for other in layers):
            raise ConfigurationError(
                f"Profile {name!r} has two layers with the name {layer.name!r}. Rename one."
            )
        layers.append(layer)
    return tuple(layers)


def messages_read(profile: Profile, layers: Sequence[Layer]) -> int:
    """The most session messages that a turn reads; 0 for all that are not summarized.

    A layer of the operator gets all of them, unless its attribute `last_messages` says how many.
    """
    if not profile.custom_layers or "summary" in profile.layers:
        return profile.window_size
    own = [layer.inner for layer in layers if isinstance(layer, GuardedLayer)]
    wanted = [int(getattr(layer, "last_messages", 0)) for layer in own]
    return max(profile.window_size, *wanted) if all(number > 0 for number in wanted) else 0


def _custom(path: str, name: str, profile: Profile, sources: Sources) -> Layer:
    return load_custom_layer(
        path,
        profile=name,
        folders=profile.folders,
        options=profile.options.get(path, {}),
        sources=sources,
        budget_tokens=profile.classic.budget_tokens,
    )


def _is_path(layer: str) -> bool:
    return "." in layer or ":" in layer


def _unknown_layer(layer: str) -> str:
    similar = get_close_matches(layer, BUILT_IN, 1)
    hint = f"; did you mean {similar[0]!r}?" if similar else ""
    return (
        f"no layer {layer!r}; there are: {', '.join(BUILT_IN)}, and classes of your own by their "
        f"path, such as 'my_memories.FirstAndLast'{hint}"
    )


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
        min_similarity=profile.vector.min_similarity,
    )


def _classic(profile: Profile, sources: Sources) -> Layer:
    return ClassicLayer.of(profile.classic, sources)


_FACTORIES: dict[str, Callable[[Profile, Sources], Layer]] = {
    "window": _window,
    "summary": _summary,
    "facts": _facts,
    "vector": _vector,
    "classic": _classic,
}


def _read(path: Path, context: ContextWindow | None = None) -> _File:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(context.complete(tables) if context else tables, type=_File)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ConfigurationError(
            f"The profiles file {str(path)!r} cannot be used: {error}."
        ) from error
