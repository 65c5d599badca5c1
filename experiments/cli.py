"""`strata experiment`: memory types compared on conversations."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from memory.profiles import Profile
    from memory.recall.embedder import EmbedderOptions

app = typer.Typer(help="Compare memory types on conversations.", no_args_is_help=True)

Data = Annotated[
    Path,
    typer.Option(
        "--data", exists=True, dir_okay=False, help="LoCoMo's format, or plain JSON lines."
    ),
]


@app.command(
    epilog="Example: strata experiment recall --data locomo.json --top-k 5,10,25 --json out.json"
)
def recall(  # noqa: PLR0917 - Typer's options
    data: Data,
    profile: Annotated[
        list[str] | None, typer.Option("--profile", help="A memory profile; may be repeated.")
    ] = None,
    embedder: Annotated[
        list[str] | None, typer.Option("--embedder", help="An embedder; may be repeated.")
    ] = None,
    top_k: Annotated[str, typer.Option("--top-k", help="One or several k.")] = "5,10,25",
    ranking: Annotated[
        Literal["learned", "cross-validated", "hand-made"],
        typer.Option(help="Weights: as in the service, learned from the others, or set by hand."),
    ] = "learned",
    language: Annotated[str, typer.Option(help="The language of the conversations.")] = "english",
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Of the messages that hold the answer, how many are among the first k recalled."""
    from rich.console import Console  # noqa: PLC0415 - each command loads what it needs
    from rich.progress import Progress  # noqa: PLC0415

    from experiments.conversations import read_conversations  # noqa: PLC0415
    from experiments.recall_run import Plan, run_recall, show, write_json  # noqa: PLC0415

    console = Console()
    plan = Plan(
        read_conversations(data),
        _profiles(profile or ["layered"]),
        embedder or ["static"],
        _numbers(top_k),
        language,
        ranking,
        _embedder_options(),
    )
    with Progress(console=console, transient=True) as progress:
        runs = asyncio.run(run_recall(plan, progress))
    show(runs, console)
    if json_out:
        write_json(runs, json_out)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(one) for one in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"{text!r} is no list of numbers such as 5,10,25.")
    return numbers


def _profiles(names: list[str]) -> "dict[str, Profile]":
    from memory.errors import ConfigurationError  # noqa: PLC0415
    from memory.profiles import load_profiles  # noqa: PLC0415
    from service.loading import load_settings  # noqa: PLC0415

    known = load_profiles(load_settings().profiles)
    if missing := [name for name in names if name not in known]:
        raise ConfigurationError(f"No profile {missing[0]!r}; there are {', '.join(known)}.")
    return {name: known[name] for name in names}


def _embedder_options() -> "EmbedderOptions":
    from memory.recall.embedder import EmbedderOptions  # noqa: PLC0415
    from service.loading import load_settings  # noqa: PLC0415

    settings = load_settings()
    return EmbedderOptions(settings.openai_api_key, settings.embedder_base_url)


@app.command(
    epilog="Example: strata experiment profiles --data locomo.json --profiles layered,window,none"
)
def profiles(  # noqa: PLR0917 - Typer's options
    data: Data,
    names: Annotated[
        str, typer.Option("--profiles", help="Memory profiles, with commas between.")
    ] = "layered,window,summary,vector,none",
    out: Annotated[Path, typer.Option(help="The folder of the report.")] = Path("report"),
    conversations: Annotated[
        int | None, typer.Option(help="Only so many conversations of the file.")
    ] = None,
    answers: Annotated[  # noqa: FBT002 - flags
        bool, typer.Option("--answers", help="Let the model answer, and judge by token F1.")
    ] = False,
    judge: Annotated[  # noqa: FBT002
        bool, typer.Option("--judge", help="Let the model judge the answers too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a paid run.")] = False,  # noqa: FBT002
    language: Annotated[str, typer.Option(help="The language of the conversations.")] = "english",
) -> None:
    """Play conversations under several memory profiles and compare what reaches the model."""
    from experiments.conversations import read_conversations  # noqa: PLC0415
    from experiments.session import compare_and_report  # noqa: PLC0415

    compare_and_report(
        read_conversations(data)[:conversations],
        _profiles(names.split(",")),
        out,
        answers=answers or judge,
        judge=judge,
        yes=yes,
        language=language,
    )


@app.command(epilog="Example: strata experiment replay --user alice --profiles layered,window")
def replay(
    user: Annotated[str, typer.Option("--user", help="Whose conversation.")],
    names: Annotated[
        str, typer.Option("--profiles", help="Memory profiles, with commas between.")
    ] = "layered,window",
    url: Annotated[
        str, typer.Option("--url", envvar="STRATA_URL", help="The running service.")
    ] = "http://127.0.0.1:8000",
    out: Annotated[Path, typer.Option(help="The folder of the report.")] = Path("report"),
    language: Annotated[str, typer.Option(help="The language of the conversation.")] = "english",
) -> None:
    """Play what a user of the running service said under other memories; nothing of it changes."""
    from experiments.replaying import read_user  # noqa: PLC0415
    from experiments.session import compare_and_report  # noqa: PLC0415

    chosen = _profiles(names.split(","))
    compare_and_report([read_user(url, user)], chosen, out, language=language)
