"""Judging answers: token F1 as in SQuAD, and a model's yes or no."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage

from onionskin.experiments.playback import Asked

_JUDGE = """\
Question: {question}
Right answer: {expected}
Given answer: {given}

Does the given answer say the same as the right one? Answer yes or no."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer, its token F1 with the expected one, and the judge's word if one was asked."""

    answer: str
    f1: float
    right: bool | None = None


async def judge_all(
    asked: Sequence[Asked],
    model: BaseChatModel,
    *,
    by_model: bool,
    concurrency: int,
    tell: Callable[[], None],
) -> list[Judged | None]:
    """Answer every question from its prompt and judge it; None where no answer is known."""
    slots = asyncio.Semaphore(concurrency)

    async def judge(one: Asked) -> Judged | None:
        async with slots:
            judged = await _judge(one.prompt, one, model, by_model=by_model)
            tell()
            return judged

    return list(await asyncio.gather(*(judge(one) for one in asked)))


async def _judge(
    prompt: Sequence[BaseMessage], asked: Asked, model: BaseChatModel, *, by_model: bool
) -> Judged | None:
    if not asked.answer:
        return None
    given = str((await model.ainvoke(list(prompt))).text)
    right: bool | None = None
    if by_model:
        text = _JUDGE.format(question=asked.question, expected=asked.answer, given=given)
        verdict = str((await model.ainvoke([HumanMessage(text)])).text)
        right = verdict.strip().casefold().startswith("yes")
    return Judged(given, token_f1(given, asked.answer), right)


def token_f1(given: str, expected: str) -> float:
    """The harmonic mean of precision and recall over words (Rajpurkar et al., SQuAD, 2016)."""
    ours, theirs = _words(given), _words(expected)
    common = sum((ours & theirs).values())
    if not common:
        return 0.0
    precision, recall = common / ours.total(), common / theirs.total()
    return 2 * precision * recall / (precision + recall)


def _words(text: str) -> Counter[str]:
    words = re.findall(r"\w+", text.casefold())
    return Counter(word for word in words if word not in {"a", "an", "the"})
