"""Runs a comparison from settings to report, with progress in the terminal."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from onionskin.chains.models.factory import open_model
from onionskin.chains.models.offline import OfflineChatModel
from onionskin.experiments.conversations import Conversation
from onionskin.experiments.plots import draw
from onionskin.experiments.profile_comparison import Cell, Comparison, compare, estimated_cost
from onionskin.experiments.report import as_data, rows_of, show, write_report
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.profiles import Profile
from onionskin.memory.retrieval import EmbedderOptions, open_embedder
from onionskin.service.console import confirm, progress, remark, say, say_json
from onionskin.service.factories import model_options
from onionskin.service.settings import load_settings


def compare_and_report(
    conversations: Sequence[Conversation],
    profiles: dict[str, Profile],
    out: Path,
    *,
    answers: bool = False,
    judge: bool = False,
    yes: bool = False,
    language: str = "english",
    as_json: bool = False,
) -> None:
    """Compare profiles, print a table or JSON, and write the files of the report into `out`.

    Raises:
        ConfigurationError: `answers` is set, but no model is configured.
    """
    settings = load_settings()
    out.mkdir(parents=True, exist_ok=True)

    async def run() -> list[Cell]:
        async with (
            open_model(model_options(settings)) as model,
            open_embedder(
                settings.embedder,
                EmbedderOptions(settings.openai_api_key, settings.embedder_base_url),
            ) as embedder,
        ):
            comparison = Comparison(
                conversations,
                profiles,
                embedder,
                model,
                language,
                scored=answers,
                by_model=judge,
                concurrency=settings.fold_concurrency,
            )
            offline = isinstance(model, OfflineChatModel)
            if answers and offline:
                raise ConfigurationError(
                    "Answers need a real model: set OPENAI_API_KEY or ONIONSKIN_MODEL."
                )
            if not offline and not yes:
                _confirm(comparison)
            return await _with_progress(comparison, out)

    cells = asyncio.run(run())
    rows = rows_of(cells)
    about = (
        f"Conversations: {len(conversations)}, {sum(len(item.messages) for item in conversations)} "
        f"messages, {sum(len(item.questions) for item in conversations)} questions; embedder "
        f"{settings.embedder}."
    )
    write_report(cells, draw(cells, rows, out), out, about)
    if as_json:
        say_json(as_data(rows, about))
    else:
        show(rows, Console())
        say(f"Report: {out / 'report.html'}")


async def _with_progress(comparison: Comparison, out: Path) -> list[Cell]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    total = len(comparison.conversations) * len(comparison.profiles)
    with progress(*columns) as bars:
        task = bars.add_task("starting", total=total)
        return await compare(
            comparison,
            out,
            lambda description, done: bars.update(task, description=description, completed=done),
        )


def _confirm(comparison: Comparison) -> None:
    calls, tokens = estimated_cost(comparison)
    remark(f"With a real model, this run takes about {calls:,} calls and {tokens:,} tokens.")
    confirm("Continue?")
