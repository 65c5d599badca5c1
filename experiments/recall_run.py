"""The recall experiment: every profile and embedder on the same questions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from onionskin.experiments.conversations import Conversation
from onionskin.experiments.learning import examples, learn_without
from onionskin.experiments.recall import Answered, ask, index_conversation, newest_first
from onionskin.experiments.statistics import Estimate, estimate
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.profiles import Profile
from onionskin.memory.retrieval.embedders.providers import EmbedderOptions, open_embedder
from onionskin.memory.retrieval.language.analyzer import TextPipeline
from onionskin.memory.retrieval.ranking.weights import Weights, hand_made

_PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        profiles: by name; one with the vector layer searches, one with a window alone takes the
            newest messages first, any other recalls nothing.
        embedders: their names, as for `ONIONSKIN_EMBEDDER`.
        ranking: `learned` as the service does; `cross-validated`, learned from the other
            conversations of the file; `hand-made`.
    """

    conversations: Sequence[Conversation]
    profiles: dict[str, Profile]
    embedders: Sequence[str]
    top_k: tuple[int, ...]
    language: str = "english"
    ranking: str = "learned"
    options: EmbedderOptions = field(default_factory=EmbedderOptions)


@dataclass(frozen=True, slots=True)
class Run:
    """One profile with one embedder: recall at each k, overall and by category."""

    profile: str
    embedder: str
    ranking: str
    n_questions: int
    overall: dict[str, Estimate]
    by_category: dict[str, dict[str, Any]]
    latency_ms: dict[str, float]


async def run_recall(plan: Plan, progress: Progress) -> list[Run]:
    """Measure every profile with every embedder.

    Raises:
        ConfigurationError: the file has no questions, or there is no such language or embedder.
    """
    questions = sum(len(one.questions) for one in plan.conversations)
    if not questions:
        raise ConfigurationError("The data file has no questions; see docs/experiments.md.")
    runs: list[Run] = []
    for embedder in plan.embedders:
        for name, profile in plan.profiles.items():
            task = progress.add_task(f"{name}, {embedder}", total=questions)
            answered = await _answers(plan, profile, embedder, progress, task)
            runs.append(_summed_up(name, embedder, plan, answered))
    return runs


async def _answers(
    plan: Plan, profile: Profile, name: str, progress: Progress, task: Any
) -> list[Answered]:
    def tell() -> None:
        progress.advance(task)

    if "vector" not in profile.layers:
        newest = "window" in profile.layers
        conversations = plan.conversations
        return [
            answer
            for one in conversations
            for answer in newest_first(one, plan.top_k if newest else tuple(0 for _ in plan.top_k))
            if tell() is None
        ]
    try:
        tongue = TextPipeline.for_language(plan.language)
    except KeyError as error:
        raise ConfigurationError(f"No language {plan.language!r} to stem.") from error
    async with open_embedder(name, plan.options) as embedder:
        indexed = [await index_conversation(one, embedder, tongue) for one in plan.conversations]
    weights: dict[str, Weights] = {}
    if plan.ranking == "cross-validated":
        weights = learn_without(plan.conversations, examples(indexed), progress.console.print)
    answered: list[Answered] = []
    for one in indexed:
        one.index.ranker.weights = (
            hand_made() if plan.ranking == "hand-made" else weights.get(one.conversation.id)
        )
        answered += ask(one, plan.top_k, tell)
    return answered


def _summed_up(name: str, embedder: str, plan: Plan, answered: Sequence[Answered]) -> Run:
    def estimates(chosen: Sequence[Answered]) -> dict[str, Estimate]:
        recall = np.array([answer.recall for answer in chosen])
        return {f"R@{k}": estimate(recall[:, at]) for at, k in enumerate(plan.top_k)}

    categories = dict.fromkeys(answer.category for answer in answered)
    by_category: dict[str, dict[str, Any]] = {}
    for category in categories:
        chosen = [answer for answer in answered if answer.category == category]
        by_category[category] = {"n_questions": len(chosen), **estimates(chosen)}
    times = [answer.milliseconds for answer in answered]
    return Run(
        name,
        embedder,
        plan.ranking,
        len(answered),
        estimates(answered),
        by_category,
        {name: round(float(np.percentile(times, at)), 3) for name, at in _PERCENTILES.items()},
    )


def figures_of(runs: Sequence[Run]) -> dict[str, Any]:
    """The first run's figures on top; all runs under `runs`."""
    rows = [asdict(run) for run in runs]
    return rows[0] | {"runs": rows}


def show(runs: Sequence[Run], console: Console) -> None:
    """A table a run: recall with its interval, overall and by category."""
    for run in runs:
        title = f"Recall: {run.profile}, {run.embedder}, {run.ranking} ranking"
        table = Table(title=title, title_justify="left")
        table.add_column("questions")
        table.add_column("n", justify="right")
        for name in run.overall:
            table.add_column(f"{name} (95%)", justify="right")
        for category, figures in run.by_category.items():
            table.add_row(category, str(figures["n_questions"]), *_cells(figures, run))
        table.add_section()
        table.add_row("all", str(run.n_questions), *_cells(run.overall, run), style="bold")
        console.print(table)
        console.print(f"  ranking a query: {run.latency_ms['p50']} ms p50, without embedding it\n")


def _cells(figures: dict[str, Any], run: Run) -> list[str]:
    return [
        f"{figures[name].mean:.1f} ({figures[name].low:.0f}-{figures[name].high:.0f})"
        for name in run.overall
    ]
