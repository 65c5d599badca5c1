"""One comparison from settings to report, with progress in the terminal."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chains.models import open_model
from chains.offline import OfflineChatModel
from experiments.conversations import Conversation
from experiments.plots import draw
from experiments.profiles_run import Cell, Comparison, compare, estimated_cost
from experiments.report import rows_of, show, write_report
from memory.errors import ConfigurationError
from memory.profiles import Profile
from memory.recall.embedder import EmbedderOptions, open_embedder
from service.choices import model_options
from service.loading import load_settings


def compare_and_report(
    conversations: Sequence[Conversation],
    profiles: dict[str, Profile],
    out: Path,
    *,
    answers: bool = False,
    judge: bool = False,
    yes: bool = False,
    language: str = "english",
) -> None:
    """Compare, show the table, and write the report's files into `out`.

    Raises:
        ConfigurationError: answers are wanted, but no model is configured.
    """
    console = Console()
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
                judged=answers,
                by_model=judge,
                concurrency=settings.fold_concurrency,
            )
            offline = isinstance(model, OfflineChatModel)
            if answers and offline:
                raise ConfigurationError(
                    "Answers need a real model: set OPENAI_API_KEY or STRATA_MODEL."
                )
            if not offline and not yes:
                _confirm(comparison, console)
            return await _with_progress(comparison, out, console)

    cells = asyncio.run(run())
    rows = rows_of(cells)
    show(rows, console)
    about = (
        f"{len(conversations)} conversations, {sum(len(one.messages) for one in conversations)} "
        f"messages, {sum(len(one.questions) for one in conversations)} questions; embedder "
        f"{settings.embedder}."
    )
    write_report(cells, draw(cells, rows, out), out, about)
    console.print(f"The report: {out / 'report.html'}")


async def _with_progress(comparison: Comparison, out: Path, console: Console) -> list[Cell]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    total = len(comparison.conversations) * len(comparison.profiles)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=total)
        return await compare(
            comparison,
            out,
            lambda what, done: progress.update(task, description=what, completed=done),
        )


def _confirm(comparison: Comparison, console: Console) -> None:
    calls, tokens = estimated_cost(comparison)
    console.print(f"With a real model this takes about {calls:,} calls and {tokens:,} tokens.")
    typer.confirm("Go on?", abort=True)
