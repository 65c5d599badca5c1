"""LangChain's classic memories as layers: fed from the transcript, so they survive restarts.

The classes come from `langchain_classic`, whose security fixes end in December 2026;
`memory/layers/langchain_classic_factories.py` alone imports it, when a profile names one of its memories. A classic
memory is made anew in each worker and is told the session's pairs of message and reply in order; in
later turns only the new ones. Those that summarise call the chat model for each pair, as ever.
"""

import asyncio
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import BaseMessage, get_buffer_string

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.langchain_classic_factories import (
    EVENT_LOOP,
    WITH_MODEL,
    ClassicOptions,
    Sources,
    load_classic,
    make_memory,
)
from onionskin.memory.tokens import clip_tokens, count_tokens
from onionskin.memory.types.messages import Message
from onionskin.memory.types.snapshot import Section

_MOST_SESSIONS = 1000
_INPUT, _OUTPUT = "input", "output"


@dataclass(slots=True)
class _Told:
    """A memory and up to which position it was told the session."""

    memory: Any
    upto: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ClassicLayer:
    """One classic memory per session.

    Args:
        options: which, and its limits.
        sources: what it is made of.

    Raises:
        ConfigurationError: it needs a chat model and there is none.
    """

    name = "classic"

    def __init__(self, options: ClassicOptions, sources: Sources) -> None:
        if options.memory in WITH_MODEL and sources.model is None:
            raise ConfigurationError(f"{options.memory} needs a chat model; none is configured.")
        self._options, self._sources = options, sources
        self._told: OrderedDict[tuple[str, str, str], _Told] = OrderedDict()

    async def load(self, turn: TurnContext) -> Section:
        """What the memory has to say to the message, as text."""
        session = turn.snapshot.session
        key = (turn.user.tenant, turn.user.id, session.id)
        told = self._told.get(key)
        if told is None or told.upto > session.length:
            told = self._told[key] = _Told(await asyncio.to_thread(self._make))
        self._told.move_to_end(key)
        while len(self._told) > _MOST_SESSIONS:
            self._told.popitem(last=False)
        async with told.lock:
            entries = await self._sources.store.transcripts.read(
                turn.user,
                session.id,
                start=told.upto,
                count=max(session.length - told.upto, 1),
            )
            said = [entry.message for entry in entries]
            EVENT_LOOP.set(asyncio.get_running_loop())
            text = await asyncio.to_thread(self._tell_and_load, told, said, turn.text)
        text = clip_tokens(text, self._options.budget_tokens)
        return Section(self.name, tokens=count_tokens(text), text=text)

    def _make(self) -> Any:
        load_classic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make_memory(self._options, self._sources)

    def _tell_and_load(self, told: _Told, said: Sequence[Message], text: str) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for message, reply in _pairs(said):
                told.memory.save_context({_INPUT: message}, {_OUTPUT: reply})
            told.upto += len(said)
            loaded = told.memory.load_memory_variables({_INPUT: text})
        return "\n\n".join(filter(None, map(_as_text, loaded.values())))


def _pairs(said: Sequence[Message]) -> list[tuple[str, str]]:
    """Messages as pairs of what was said and replied; either may be missing in an import."""
    pairs: list[tuple[str, str]] = []
    for message in said:
        if message.role == "assistant" and pairs and not pairs[-1][1]:
            pairs[-1] = (pairs[-1][0], message.spoken)
        elif message.role == "assistant":
            pairs.append(("", message.spoken))
        else:
            pairs.append((message.spoken, ""))
    return pairs


def _as_text(value: object) -> str:
    if isinstance(value, list):
        items = cast("list[object]", value)
        return get_buffer_string([one for one in items if isinstance(one, BaseMessage)])
    if isinstance(value, dict):
        facts = cast("dict[str, str]", value)
        return "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact)
    return str(value)
