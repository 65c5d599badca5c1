"""Scores of answers: token F1 as in SQuAD, and a model's yes or no."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from onionskin.experiments.playback import PlayedQuestion

_JUDGE = """\
Question: {question}
Right answer: {expected}
Given answer: {given}

Does the given answer say the same as the right one? Answer yes or no."""


@dataclass(frozen=True, slots=True)
class Score:
    """An answer, its token F1 with the expected answer, and the model's verdict, if it judges."""

    answer: str
    f1: float
    right: bool | None = None


async def score_answers(
    questions: Sequence[PlayedQuestion],
    model: BaseChatModel,
    *,
    by_model: bool,
    concurrency: int,
    on_progress: Callable[[], None],
) -> list[Score | None]:
    """Let the model answer every question from its prompt, and score its answers.

    Args:
        questions: The questions with their prompts.
        model: The model that answers, and judges.
        by_model: Whether the model judges each answer too.
        concurrency: Number of questions at the same time.
        on_progress: Called after each question.

    Returns:
        The score of each question; None where the expected answer is unknown.
    """
    slots = asyncio.Semaphore(concurrency)

    async def score(question: PlayedQuestion) -> Score | None:
        async with slots:
            result = await _score(question, model, by_model=by_model)
            on_progress()
            return result

    return list(await asyncio.gather(*map(score, questions)))


async def _score(question: PlayedQuestion, model: BaseChatModel, *, by_model: bool) -> Score | None:
    if not question.answer:
        return None
    given = str((await model.ainvoke(list(question.prompt))).text)
    right: bool | None = None
    if by_model:
        text = _JUDGE.format(question=question.question, expected=question.answer, given=given)
        verdict = str((await model.ainvoke([HumanMessage(text)])).text)
        right = verdict.strip().casefold().startswith("yes")
    return Score(given, token_f1(given, question.answer), right)


def token_f1(given: str, expected: str) -> float:
    """The harmonic mean of precision and recall over words (Rajpurkar et al., SQuAD, 2016)."""
    given_words, expected_words = _words(given), _words(expected)
    common = sum((given_words & expected_words).values())
    if not common:
        return 0.0
    precision, recall = common / given_words.total(), common / expected_words.total()
    return 2 * precision * recall / (precision + recall)


def _words(text: str) -> Counter[str]:
    words = re.findall(r"\w+", text.casefold())
    return Counter(word for word in words if word not in {"a", "an", "the"})
