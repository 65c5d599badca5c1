"""Layers of the operator: a class of their own, or a LangChain memory, named by its path."""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from onionskin.memory.dotted_path import load_object
from onionskin.memory.errors import ConfigurationError, OnionskinError, StoreUnavailableError
from onionskin.memory.excerpts import message_tokens
from onionskin.memory.layers.base import Layer, TurnContext
from onionskin.memory.layers.langchain_classic import ClassicLayer
from onionskin.memory.layers.langchain_classic_factories import Sources, TokenEstimatingModel
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.snapshot import Section

_log = logging.getLogger("onionskin.layers")
_MEMORY_METHODS = ("load_memory_variables", "save_context")


class GuardedLayer:
    """A layer whose errors cost the turn only this layer; `degraded` then names it.

    Args:
        inner: The layer.
    """

    def __init__(self, inner: Layer) -> None:
        self.inner, self.name = inner, inner.name

    async def load(self, turn: TurnContext) -> Section:
        """The layer's section; an empty one, marked as missing, if the layer fails.

        Raises:
            StoreUnavailableError: Redis is unavailable.
        """
        try:
            section = _completed(await self.inner.load(turn), self.name)
        except StoreUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - the operator's code raises anything
            place = place_of(error)
            fields = {"layer": self.name, "error": type(error).__name__, "at": place}
            _log.error("layer failed", extra=fields)  # its text may hold user data
            return Section(self.name, missing=self.name)
        return section


class StrictLayer(GuardedLayer):
    """A layer whose errors end an experiment, which must not report figures without it."""

    async def load(self, turn: TurnContext) -> Section:
        """The layer's section.

        Raises:
            ConfigurationError: The layer failed; the message says where.
        """
        try:
            section = _completed(await self.inner.load(turn), self.name)
        except OnionskinError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"The layer {self.name!r} failed with {type(error).__name__}: {error} "
                f"({place_of(error)})."
            ) from error
        return section


def load_custom_layer(
    path: str,
    *,
    profile: str,
    folders: Sequence[Path],
    options: Mapping[str, Any],
    sources: Sources,
    budget_tokens: int,
) -> Layer:
    """The layer at a path.

    Args:
        path: `module.Name` or `module:Name` of a class, or of a function that makes a layer.
        profile: The profile's name, for error messages.
        folders: Where modules that are not installed are searched.
        options: Arguments of the constructor.
        sources: Passed to a constructor that has a parameter `sources`.
        budget_tokens: Most tokens of a LangChain memory's text.

    Raises:
        ConfigurationError: There is no such class, it is no layer, or it cannot be made.
    """
    purpose = f"The layer {path!r} of profile {profile!r}"
    found = load_object(path, folders, purpose)
    make = _constructor(found, path, purpose, options, sources)
    if _is_memory(found):
        make()  # a class that cannot be made is refused at the start
        return ClassicLayer(sources, make, name=path, budget_tokens=budget_tokens)
    layer = make()
    if _is_memory(layer):
        return ClassicLayer(sources, make, name=path, budget_tokens=budget_tokens)
    return _checked(layer, path, purpose)


def construct(
    found: object, path: str, purpose: str, options: Mapping[str, Any], sources: Sources | None
) -> object:
    """The object that a class or function makes with its options; an instance is returned as it is.

    Raises:
        ConfigurationError: The options do not fit, or the constructor fails.
    """
    return _constructor(found, path, purpose, options, sources)()


def _constructor(
    found: object, path: str, purpose: str, options: Mapping[str, Any], sources: Sources | None
) -> Callable[[], Any]:
    if not callable(found) or (not inspect.isclass(found) and _looks_like_layer(found)):
        if options:
            raise ConfigurationError(f"{purpose} is an object, which takes no options.")
        return lambda: found
    table = f'[profiles.<name>.options."{path}"]'
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # written in C
        signature = None
    arguments = dict(options)
    if signature:
        _add_sources(arguments, found, signature, sources, purpose)
        try:
            signature.bind(**arguments)
        except TypeError as error:
            known = [name for name in signature.parameters if name not in {"sources", "llm"}]
            raise ConfigurationError(
                f"{purpose} cannot be made: {error}. Its options stand in {table}; "
                f"it takes: {', '.join(known) or 'none'}."
            ) from error

    def make() -> Any:
        try:
            return found(**arguments)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"{purpose} cannot be made: {type(error).__name__}: {error} ({place_of(error)}). "
                f"Its options stand in {table}."
            ) from error

    return make


def _add_sources(
    arguments: dict[str, Any],
    found: object,
    signature: inspect.Signature,
    sources: Sources | None,
    purpose: str,
) -> None:
    """Pass what the constructor asks for by name: `sources`, or a LangChain memory's `llm`."""
    parameters = signature.parameters
    if sources is None:
        return
    if "sources" in parameters and "sources" not in arguments:
        arguments["sources"] = sources
    llm = parameters.get("llm")
    if llm and "llm" not in arguments and _is_memory(found):
        if sources.model is not None:
            arguments["llm"] = TokenEstimatingModel(inner=sources.model)
        elif llm.default is inspect.Parameter.empty:
            raise ConfigurationError(f"{purpose} needs a chat model; none is configured.")


def _checked(layer: object, path: str, purpose: str) -> Layer:
    load = getattr(layer, "load", None)
    if not callable(load):
        raise ConfigurationError(
            f"{purpose} is a {type(layer).__name__!r}, not a layer. A layer has a `name` and "
            "`async def load(self, turn) -> Section`; a LangChain memory has "
            "`load_memory_variables` and `save_context`."
        )
    if not inspect.iscoroutinefunction(load):
        raise ConfigurationError(f"{purpose}: write `async def load(self, turn)`, not `def`.")
    try:
        inspect.signature(load).bind(None)
    except TypeError as error:
        raise ConfigurationError(f"{purpose}: `load` takes the turn alone: {error}.") from error
    name = getattr(layer, "name", None)
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise ConfigurationError(
            f"{purpose} has no name. Add `name = {path.replace(':', '.').rpartition('.')[2]!r}` "
            "to the class."
        )
    return cast("Layer", layer)


def _completed(section: object, name: str) -> Section:
    """The section with the layer's name, and its estimated tokens if it states none."""
    if not isinstance(section, Section):
        raise TypeError(f"{name}.load returned {type(section).__name__!r}, not a Section")
    tokens = section.tokens or _estimated_tokens(section)
    if (section.layer, section.tokens) == (name, tokens):
        return section
    return replace(section, layer=name, tokens=tokens)


def _estimated_tokens(section: Section) -> int:
    entries = [*section.messages]
    entries += [entry for hit in section.hits for entry in (hit.entry, *hit.context)]
    entries += [entry for digest in section.digests for entry in digest.tail]
    texts = [section.text, *(record.content for record in section.records)]
    texts += [digest.summary_state.summary for digest in section.digests]
    return sum(map(count_tokens, texts)) + sum(message_tokens(one.message) for one in entries)


def _looks_like_layer(found: object) -> bool:
    return hasattr(found, "load") or _is_memory(found)


def _is_memory(found: object) -> bool:
    return all(callable(getattr(found, method, None)) for method in _MEMORY_METHODS)


def place_of(error: BaseException) -> str:
    """File and line where an error was raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
