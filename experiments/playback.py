"""Plays a recorded conversation through the real chain and store, under one memory profile.

The recorded messages of the user are the turns, and the chain's model answers with the recorded
replies. So every profile sees the same conversation, and only its memory differs. A conversation is
one session. Summaries are written right after the turn that makes them due.
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
from onionskin.experiments.conversations import Conversation, RecordedMessage
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.profiles import Profile
from onionskin.memory.retrieval import (
    Embedder,
    IndexCache,
    TextPipeline,
    UserIndex,
    passage_encoder,
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
    """A recorded turn: message, reply and Unix time."""

    message: str
    reply: str
    at: float


@dataclass(frozen=True, slots=True)
class PlayedQuestion:
    """A question under a profile: the share of its evidence in the prompt, in all and by layer."""

    question: str
    category: str
    answer: str
    coverage: float
    by_layer: dict[str, float]
    prompt_tokens: int
    prompt: tuple[BaseMessage, ...] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Played:
    """The figures of a conversation under a profile.

    Attributes:
        prompt_tokens: Estimated tokens of each turn's prompt.
        milliseconds: Duration of each turn, with a chat model without latency.
        memory_calls: Model calls of the memory, including summaries.
    """

    conversation: str
    profile: str
    prompt_tokens: tuple[int, ...]
    milliseconds: tuple[float, ...]
    memory_calls: int
    questions: tuple[PlayedQuestion, ...]


class ReplayModel(BaseChatModel):
    """A chat model that answers with a given reply, and counts the tokens of its prompts."""

    _reply: str = PrivateAttr(default="")
    _tokens: list[int] = PrivateAttr(default_factory=list[int])

    @property
    def _llm_type(self) -> str:
        return "onionskin-replay"

    def next_reply(self, reply: str) -> None:
        """Set the answer of the next call."""
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
    """A chat model that passes calls on to another one, and counts them."""

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
    """Play a conversation, then build the prompts of its questions, which are not stored.

    Raises:
        ConfigurationError: A layer of the operator failed: figures without it would mislead.
    """
    replay_model, counting_model = ReplayModel(), CountingModel(inner=model)
    encode = passage_encoder(embedder)
    indexes = IndexCache(
        store, lambda: UserIndex(text_pipeline, encode=encode), max_bytes=4_000_000_000
    )
    memory = CombinedMemory(
        name,
        profile,
        store=store,
        embedder=embedder,
        indexes=indexes,
        model=counting_model,
        strict=True,
    )
    due: list[SummarizeTask] = []
    now = [0.0]
    chain = ConversationChain(
        {name: memory},
        replay_model,
        default_profile=name,
        longest_message=1_000_000,
        on_task=lambda task: due.append(task) if isinstance(task, SummarizeTask) else None,
        clock=lambda: now[0],
    )
    summarizer = Summarizer(store, Generator(TimedModel(counting_model, _MODEL_TIMEOUT)))
    user, session_id = User(f"{conversation.id} {name}", tenant="experiment"), None
    times: list[float] = []
    for pair in pairs(conversation.messages):
        now[0] = pair.at
        replay_model.next_reply(pair.reply)
        began = time.perf_counter()
        reply = await chain.ainvoke(TurnRequest(user, pair.message, session_id))
        times.append((time.perf_counter() - began) * 1000)
        session_id = reply.session_id
        while due:
            task = due.pop()
            if memory.summary_policy:
                await summarizer.summarize(task.user, task.session_id, memory.summary_policy)
    questions: list[PlayedQuestion] = []
    contents = {recorded.id: recorded.message.content for recorded in conversation.messages}
    for question in conversation.questions:
        recalled = await memory.recall(
            user, question.text, session_id=session_id, now=now[0] + _DAY
        )
        prompt = build_prompt(recalled)
        evidence = [contents[message_id] for message_id in question.evidence]
        by_layer, coverage = covered(recalled, evidence)
        tokens = sum(count_tokens(str(message.text)) for message in prompt)
        questions.append(
            PlayedQuestion(
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
        replay_model.prompt_tokens,
        tuple(times),
        counting_model.calls,
        tuple(questions),
    )


def pairs(messages: Sequence[RecordedMessage]) -> list[Pair]:
    """The recorded messages as turns; successive messages of one side are joined."""
    turns: list[Pair] = []
    spoken: list[str] = []
    replies: list[str] = []
    at = 0.0
    for recorded in messages:
        message = recorded.message
        if message.role == "user":
            if replies:
                turns.append(Pair("\n".join(spoken) or "(nothing)", "\n".join(replies), at))
                spoken, replies = [], []
            spoken.append(message.spoken)
        else:
            replies.append(message.spoken)
        at = max(at, message.at)
    if spoken or replies:
        turns.append(Pair("\n".join(spoken) or "(nothing)", "\n".join(replies) or "(nothing)", at))
    return turns


def covered(recalled: RecallResult, evidence: Sequence[str]) -> tuple[dict[str, float], float]:
    """The share of the evidence in the text of each layer, and in all of them."""
    texts = {section.layer: _text(section) for section in recalled.sections}
    shares = {
        layer: sum(item in text for item in evidence) / len(evidence)
        for layer, text in texts.items()
    }
    everything = "\n".join(texts.values())
    return shares, sum(item in everything for item in evidence) / len(evidence)


def _text(section: Section) -> str:
    entries = [*section.messages]
    entries += [entry for hit in section.hits for entry in (hit.entry, *hit.context)]
    entries += [entry for digest in section.digests for entry in digest.tail]
    summaries = [digest.summary_state.summary for digest in section.digests]
    return "\n".join([section.text, *summaries, *(entry.message.content for entry in entries)])
