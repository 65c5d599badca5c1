"""`onionskin experiment`: compares memory types on recorded conversations."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from onionskin.service.cli.options import URL, AsJson, Url, User, example, profile_names

if TYPE_CHECKING:
    from onionskin.memory.profiles import Profile
    from onionskin.memory.retrieval import EmbedderOptions

app = typer.Typer(
    help="Compare memory types on conversations.",
    no_args_is_help=True,
    epilog=example("onionskin experiment replay --user alice --profiles layered,window"),
)

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        exists=True,
        dir_okay=False,
        help="Conversations, in LoCoMo's format or as JSON lines.",
    ),
]
Names = Annotated[
    str,
    typer.Option(
        "--profiles", help="Memory profiles, separated by commas.", autocompletion=profile_names
    ),
]


@app.command(
    epilog=example("onionskin experiment recall --data locomo.json --top-k 5,10,25 --json")
)
def recall(
    *,
    data: Data,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            "--profile", help="Memory profile; can be repeated.", autocompletion=profile_names
        ),
    ] = None,
    embedder: Annotated[
        list[str] | None, typer.Option("--embedder", help="Embedder; can be repeated.")
    ] = None,
    top_k: Annotated[
        str, typer.Option("--top-k", help="Values of k, separated by commas.")
    ] = "5,10,25",
    ranking: Annotated[
        Literal["learned", "cross-validated", "hand-made"],
        typer.Option(
            help="Weights: the service's, learned from the other conversations, or hand-made."
        ),
    ] = "learned",
    language: Annotated[str, typer.Option(help="Language of the conversations.")] = "english",
    as_json: AsJson = False,
) -> None:
    """Measure recall at k: the share of the messages with the answer among the first k hits."""
    from rich.console import Console
    from rich.progress import Progress

    from onionskin.experiments.conversations import read_conversations
    from onionskin.experiments.recall_run import Plan, figures_of, run_recall, show
    from onionskin.service.console import progress, say_json

    plan = Plan(
        read_conversations(data),
        _profiles(profile or ["layered"]),
        embedder or ["static"],
        _numbers(top_k),
        language,
        ranking,
        _embedder_options(),
    )
    with progress(*Progress.get_default_columns()) as bars:
        runs = asyncio.run(run_recall(plan, bars))
    if as_json:
        say_json(figures_of(runs))
    else:
        show(runs, Console())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"{text!r} is not a list of positive numbers such as 5,10,25.")
    return numbers


def _profiles(names: list[str]) -> "dict[str, Profile]":
    from onionskin.memory.errors import ConfigurationError
    from onionskin.memory.profiles import load_profiles
    from onionskin.service.settings import load_settings

    known = load_profiles(load_settings().profiles)
    if missing := [name for name in names if name not in known]:
        raise ConfigurationError(
            f"Unknown profile {missing[0]!r}; known profiles: {', '.join(known)}."
        )
    return {name: known[name] for name in names}


def _embedder_options() -> "EmbedderOptions":
    from onionskin.memory.retrieval import EmbedderOptions
    from onionskin.service.settings import load_settings

    settings = load_settings()
    return EmbedderOptions(settings.openai_api_key, settings.embedder_base_url)


@app.command(
    epilog=example("onionskin experiment profiles --data locomo.json --profiles layered,window")
)
def profiles(
    *,
    data: Data,
    names: Names = "layered,window,summary,vector,none",
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    conversations: Annotated[
        int | None, typer.Option(help="Number of conversations to use; all by default.")
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Let the model answer; score by token F1.")
    ] = False,
    judge: Annotated[
        bool, typer.Option("--judge", help="Let the model judge its answers too.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation before a paid run.")
    ] = False,
    language: Annotated[str, typer.Option(help="Language of the conversations.")] = "english",
    as_json: AsJson = False,
) -> None:
    """Play conversations under several memory profiles, and compare their prompts."""
    from onionskin.experiments.conversations import read_conversations
    from onionskin.experiments.session import compare_and_report

    compare_and_report(
        read_conversations(data)[:conversations],
        _profiles(names.split(",")),
        out,
        answers=answers or judge,
        judge=judge,
        yes=yes,
        language=language,
        as_json=as_json,
    )


@app.command(epilog=example("onionskin experiment replay --user alice --profiles layered,window"))
def replay(
    *,
    user: User,
    names: Names = "layered,window",
    url: Url = URL,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    language: Annotated[str, typer.Option(help="Language of the conversation.")] = "english",
    as_json: AsJson = False,
) -> None:
    """Play the transcript of a user under other memory profiles; the user's data stay unchanged."""
    from onionskin.experiments.replay import read_user
    from onionskin.experiments.session import compare_and_report

    chosen = _profiles(names.split(","))
    conversation = read_user(url, user)
    compare_and_report([conversation], chosen, out, language=language, as_json=as_json)
