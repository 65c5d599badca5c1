"""LangChain's classic memories as a layer, filled from the transcript to survive restarts.

The classes come from `langchain_classic`, whose security fixes end in December 2026. Only
`langchain_classic_factories` imports it, when a profile names one of its memories. Each worker
creates a memory per session and replays the session's pairs of message and reply, later only new
ones. Memories that summarize call the chat model for each pair, as in LangChain.
"""

import asyncio
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import BaseMessage, get_buffer_string

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.excerpts import shorten
from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.langchain_classic_factories import (
    EVENT_LOOP,
    WITH_MODEL,
    ClassicOptions,
    Sources,
    check_packages,
    load_classic,
    make_memory,
)
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.branches import NONE_ABANDONED, Abandoned
from onionskin.memory.types.messages import Message, Session
from onionskin.memory.types.snapshot import Section

_MAX_SESSIONS = 1000
_INPUT, _OUTPUT = "input", "output"


@dataclass(slots=True)
class _SessionMemory:
    """A memory, and the position up to which it has replayed the session."""

    memory: Any
    abandoned: Abandoned = NONE_ABANDONED
    upto: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def lacks(self, session: Session) -> bool:
        """Whether messages that it has replayed were abandoned or restored since."""
        before = list(self.abandoned.live(0, self.upto))
        return before != list(session.abandoned.live(0, self.upto))


class ClassicLayer:
    """One classic memory per session.

    Args:
        sources: Store, embedder and chat model.
        make: Makes an empty memory.
        name: Name of the layer.
        budget_tokens: Most tokens of its text.
    """

    last_messages = 1  # of the snapshot: it reads the transcript itself

    def __init__(
        self, sources: Sources, make: Callable[[], Any], *, name: str, budget_tokens: int
    ) -> None:
        self.name, self._make_memory, self._budget_tokens = name, make, budget_tokens
        self._sources = sources
        self._memories: OrderedDict[tuple[str, str, str], _SessionMemory] = OrderedDict()

    @classmethod
    def of(cls, options: ClassicOptions, sources: Sources) -> "ClassicLayer":
        """The layer `classic`, with a memory of LangChain.

        Raises:
            ConfigurationError: The memory needs a chat model and none is configured, or a package
                that is not installed.
        """
        if options.memory in WITH_MODEL and sources.model is None:
            raise ConfigurationError(f"{options.memory} needs a chat model; none is configured.")
        check_packages(options)

        def make() -> Any:
            return make_memory(options, sources)

        return cls(sources, make, name="classic", budget_tokens=options.budget_tokens)

    async def load(self, turn: TurnContext) -> Section:
        """The memory's text for the message."""
        session = turn.snapshot.session
        key = (turn.user.tenant, turn.user.id, session.id)
        memory = self._memories.get(key)
        if memory is None or memory.upto > session.length or memory.lacks(session):
            empty = await asyncio.to_thread(self._make)
            memory = self._memories[key] = _SessionMemory(empty, session.abandoned)
        self._memories.move_to_end(key)
        while len(self._memories) > _MAX_SESSIONS:
            self._memories.popitem(last=False)
        async with memory.lock:
            entries = await self._sources.store.transcripts.read_live(
                turn.user, session, start=memory.upto
            )
            messages = [entry.message for entry in entries]
            EVENT_LOOP.set(asyncio.get_running_loop())
            try:
                text = await asyncio.to_thread(self._replay_and_load, memory, messages, turn.text)
            except BaseException:  # half replayed: the next turn begins with an empty memory
                self._memories.pop(key, None)
                raise
            memory.upto = max(memory.upto, session.length)
        text = shorten(text, self._budget_tokens)
        return Section(self.name, tokens=count_tokens(text), text=text)

    def _make(self) -> Any:
        load_classic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._make_memory()

    def _replay_and_load(
        self, memory: _SessionMemory, messages: Sequence[Message], text: str
    ) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for message, reply in _pairs(messages):
                memory.memory.save_context({_INPUT: message}, {_OUTPUT: reply})
            loaded = memory.memory.load_memory_variables({_INPUT: text})
        return "\n\n".join(filter(None, map(_as_text, loaded.values())))


def _pairs(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Pairs of message and reply; in an imported session either may be missing."""
    pairs: list[tuple[str, str]] = []
    for message in messages:
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
        return get_buffer_string([item for item in items if isinstance(item, BaseMessage)])
    if isinstance(value, dict):
        facts = cast("dict[str, str]", value)
        return "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact)
    return str(value)
