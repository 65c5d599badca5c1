"""Playing a recorded conversation through the real chain and store under one memory profile.

What a person said goes in as messages; the chain's model answers with what was replied in the
record. So every profile sees the same conversation, and what differs is what it remembers. All of a
conversation is one session. Folds are done right after the turn that makes them due.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from onionskin.chains.conversation import ConversationChain, TurnRequest
from onionskin.chains.generation import Generator, TimedModel
from onionskin.chains.prompt import build_prompt
from onionskin.chains.summarizer import Summarizer
from onionskin.experiments.conversations import Conversation, Said
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.profiles import Profile
from onionskin.memory.retrieval import (
    Embedder,
    IndexCache,
    TextPipeline,
    UserIndex,
)
from onionskin.memory.store import RedisStore
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import User
from onionskin.memory.types.snapshot import Section
from onionskin.memory.types.tasks import SummarizeTask

_MODEL_TIMEOUT = timedelta(seconds=120)
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Pair:
    """What was said and what was replied, and the ids of the recorded messages in both."""

    message: str
    reply: str
    at: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A question under a profile: the share of its evidence in the prompt, by layer and in all."""

    question: str
    category: str
    answer: str
    coverage: float
    by_layer: dict[str, float]
    prompt_tokens: int
    prompt: tuple[BaseMessage, ...] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Played:
    """A conversation under a profile.

    Attributes:
        prompt_tokens: of each turn's prompt, estimated.
        milliseconds: of each turn, the chat model's time being none.
        memory_calls: model calls that the memory made, folds included.
    """

    conversation: str
    profile: str
    prompt_tokens: tuple[int, ...]
    milliseconds: tuple[float, ...]
    memory_calls: int
    asked: tuple[Asked, ...]


class ReplayModel(BaseChatModel):
    """Answers with the reply that it was given last, and counts the prompt's tokens."""

    _reply: str = PrivateAttr(default="")
    _tokens: list[int] = PrivateAttr(default_factory=list[int])

    @property
    def _llm_type(self) -> str:
        return "onionskin-replay"

    def next_reply(self, reply: str) -> None:
        """What the next call answers."""
        self._reply = reply

    @property
    def prompt_tokens(self) -> tuple[int, ...]:
        """The estimated tokens of each prompt so far."""
        return tuple(self._tokens)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        self._tokens.append(sum(count_tokens(str(message.text)) for message in messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self._reply))])


class CountingModel(BaseChatModel):
    """Another model, its calls counted."""

    inner: BaseChatModel
    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "onionskin-counted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager, kwargs
        self.calls += 1
        answer = self.inner.invoke(messages, stop=stop)
        message = AIMessage(str(answer.text) or " ", usage_metadata=answer.usage_metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])


async def play(
    conversation: Conversation,
    name: str,
    profile: Profile,
    *,
    store: RedisStore,
    embedder: Embedder,
    text_pipeline: TextPipeline,
    model: BaseChatModel,
) -> Played:
    """Play a conversation, then ask its questions; nothing of the questions is remembered."""
    replaying, counting = ReplayModel(), CountingModel(inner=model)
    views = IndexCache(store, lambda: UserIndex(text_pipeline), max_bytes=4_000_000_000)
    memory = CombinedMemory(
        name, profile, store=store, embedder=embedder, indexes=views, model=counting
    )
    due: list[SummarizeTask] = []
    now = [0.0]
    chain = ConversationChain(
        {name: memory},
        replaying,
        default_profile=name,
        longest_message=1_000_000,
        on_task=lambda task: due.append(task) if isinstance(task, SummarizeTask) else None,
        clock=lambda: now[0],
    )
    summarizer = Summarizer(store, Generator(TimedModel(counting, _MODEL_TIMEOUT)))
    user, session_id = User(f"{conversation.id} {name}", tenant="experiment"), None
    times: list[float] = []
    for pair in pairs(conversation.messages):
        now[0] = pair.at
        replaying.next_reply(pair.reply)
        began = time.perf_counter()
        reply = await chain.ainvoke(TurnRequest(user, pair.message, session_id))
        times.append((time.perf_counter() - began) * 1000)
        session_id = reply.session_id
        while due:
            fold = due.pop()
            if memory.summary_policy:
                await summarizer.summarize(fold.user, fold.session_id, memory.summary_policy)
    asked: list[Asked] = []
    contents = {said.id: said.message.content for said in conversation.messages}
    for question in conversation.questions:
        recollection = await memory.recall(
            user, question.text, session_id=session_id, now=now[0] + _DAY
        )
        prompt = build_prompt(recollection)
        wanted = [contents[one] for one in question.evidence]
        by_layer, coverage = covered(recollection, wanted)
        tokens = sum(count_tokens(str(message.text)) for message in prompt)
        asked.append(
            Asked(
                question.text,
                question.category,
                question.answer,
                coverage,
                by_layer,
                tokens,
                tuple(prompt),
            )
        )
    return Played(
        conversation.id,
        name,
        replaying.prompt_tokens,
        tuple(times),
        counting.calls,
        tuple(asked),
    )


def pairs(messages: Sequence[Said]) -> list[Pair]:
    """The record as turns: what one side says in a row is one message."""
    made: list[Pair] = []
    said: list[str] = []
    replied: list[str] = []
    at = 0.0
    for one in messages:
        message = one.message
        if message.role == "user":
            if replied:
                made.append(Pair("\n".join(said) or "(nothing)", "\n".join(replied), at))
                said, replied = [], []
            said.append(message.spoken)
        else:
            replied.append(message.spoken)
        at = max(at, message.at)
    if said or replied:
        made.append(Pair("\n".join(said) or "(nothing)", "\n".join(replied) or "(nothing)", at))
    return made


def covered(recollection: RecallResult, wanted: Sequence[str]) -> tuple[dict[str, float], float]:
    """The share of the wanted texts that stand in what each layer shows, and in all of it."""
    texts = {section.layer: _shown(section) for section in recollection.sections}
    shares = {
        layer: sum(one in text for one in wanted) / len(wanted) for layer, text in texts.items()
    }
    everything = "\n".join(texts.values())
    return shares, sum(one in everything for one in wanted) / len(wanted)


def _shown(section: Section) -> str:
    entries = [*section.messages]
    entries += [one for hit in section.hits for one in (hit.entry, *hit.context)]
    entries += [entry for digest in section.digests for entry in digest.tail]
    summaries = [digest.summary_state.summary for digest in section.digests]
    return "\n".join([section.text, *summaries, *(entry.message.content for entry in entries)])
