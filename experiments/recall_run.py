"""The recall experiment: every profile and embedder on the same questions."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from onionskin.experiments.conversations import Conversation
from onionskin.experiments.recall import (
    QuestionResult,
    index_conversation,
    newest_first,
    search_all,
)
from onionskin.experiments.statistics import Estimate, estimate
from onionskin.experiments.weight_learning import examples, learn_without
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.profiles import Profile
from onionskin.memory.retrieval import EmbedderOptions, TextPipeline, open_embedder
from onionskin.memory.retrieval.ranking.weights import Weights, hand_made

_PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a recall experiment.

    Attributes:
        conversations: The conversations with their questions.
        profiles: Profiles by name. One with the vector layer searches, one with only a window
            takes the newest messages first, one without layers recalls nothing.
        embedders: Names of embedders, as for `ONIONSKIN_EMBEDDER`.
        top_k: Values of k.
        language: Language of the conversations.
        ranking: `learned`, as in the service; `cross-validated`, learned from the other
            conversations of the file; or `hand-made`.
        options: Connection to a remote embedder.
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
    """The figures of one profile with one embedder: recall at each k, overall and by category."""

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
        ConfigurationError: The file has no questions, a profile ranks no messages, or a language or
            embedder is unknown.
    """
    questions = sum(len(conversation.questions) for conversation in plan.conversations)
    if not questions:
        raise ConfigurationError("The data file has no questions; see docs/experiments.md.")
    for name, profile in plan.profiles.items():
        if profile.layers and not {"vector", "window"}.intersection(profile.layers):
            raise ConfigurationError(
                f"Profile {name!r} ranks no messages: this experiment measures the layers 'vector' "
                f"and 'window', not {', '.join(map(repr, profile.layers))}. Measure what reaches "
                f"the prompt: onionskin experiment profiles --data FILE --profiles {name}"
            )
    runs: list[Run] = []
    for embedder in plan.embedders:
        for name, profile in plan.profiles.items():
            task = progress.add_task(f"{name}, {embedder}", total=questions)

            def advance(task: Any = task) -> None:
                progress.advance(task)

            if "vector" in profile.layers:
                log = progress.console.print
                results = await _search(plan, embedder, on_progress=advance, log=log)
            else:
                results = _newest_first(plan, profile)
                progress.advance(task, questions)
            runs.append(_summarize(name, embedder, plan, results))
    return runs


def _newest_first(plan: Plan, profile: Profile) -> list[QuestionResult]:
    """The results of a profile without search."""
    top_k = plan.top_k if "window" in profile.layers else (0,) * len(plan.top_k)
    return [
        result
        for conversation in plan.conversations
        for result in newest_first(conversation, top_k)
    ]


async def _search(
    plan: Plan, embedder_name: str, *, on_progress: Callable[[], None], log: Callable[[str], None]
) -> list[QuestionResult]:
    """The results of a profile that searches."""
    try:
        text_pipeline = TextPipeline.for_language(plan.language)
    except KeyError as error:
        raise ConfigurationError(f"No stemmer for the language {plan.language!r}.") from error
    async with open_embedder(embedder_name, plan.options) as embedder:
        indexed = [
            await index_conversation(conversation, embedder, text_pipeline)
            for conversation in plan.conversations
        ]
    weights: dict[str, Weights] = {}
    if plan.ranking == "cross-validated":
        weights = learn_without(plan.conversations, examples(indexed), log)
    results: list[QuestionResult] = []
    for conversation in indexed:
        conversation.index.ranker.weights = (
            hand_made()
            if plan.ranking == "hand-made"
            else weights.get(conversation.conversation.id)
        )
        results += search_all(conversation, plan.top_k, on_progress)
    return results


def _summarize(profile: str, embedder: str, plan: Plan, results: Sequence[QuestionResult]) -> Run:
    def estimates(chosen: Sequence[QuestionResult]) -> dict[str, Estimate]:
        recall = np.array([result.recall for result in chosen])
        return {f"R@{k}": estimate(recall[:, place]) for place, k in enumerate(plan.top_k)}

    categories = dict.fromkeys(result.category for result in results)
    by_category: dict[str, dict[str, Any]] = {}
    for category in categories:
        chosen = [result for result in results if result.category == category]
        by_category[category] = {"n_questions": len(chosen), **estimates(chosen)}
    times = [result.milliseconds for result in results]
    return Run(
        profile,
        embedder,
        plan.ranking,
        len(results),
        estimates(results),
        by_category,
        {name: round(float(np.percentile(times, at)), 3) for name, at in _PERCENTILES.items()},
    )


def figures_of(runs: Sequence[Run]) -> dict[str, Any]:
    """The first run's figures at the top level, and all runs under `runs`."""
    rows = [asdict(run) for run in runs]
    return rows[0] | {"runs": rows}


def show(runs: Sequence[Run], console: Console) -> None:
    """Print a table for each run: recall with its interval, overall and by category."""
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
        console.print(f"  ranking a query: {run.latency_ms['p50']} ms p50, without embedding\n")


def _cells(figures: dict[str, Any], run: Run) -> list[str]:
    return [
        f"{figures[name].mean:.1f} ({figures[name].low:.0f}-{figures[name].high:.0f})"
        for name in run.overall
    ]
