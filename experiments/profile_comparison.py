"""The profiles experiment: plays conversations under several memory profiles; resumable."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from langchain_core.language_models import BaseChatModel

import onionskin
from onionskin.experiments.conversations import Conversation
from onionskin.experiments.playback import Played, pairs, play
from onionskin.experiments.scoring import Score, score_answers
from onionskin.memory.dotted_path import load_object, source_files
from onionskin.memory.profiles import Profile
from onionskin.memory.retrieval import Embedder, TextPipeline
from onionskin.memory.store import Connection, EmbeddedRedis, RedisStore
from onionskin.memory.tokens import count_tokens

_TIMEOUT = timedelta(seconds=60)
_REPLY_TOKENS = 150


@dataclass(frozen=True, slots=True)
class Cell:
    """The figures of a conversation under a profile, as they are stored in `cells/`."""

    conversation: str
    profile: str
    prompt_tokens: list[int]
    milliseconds: list[float]
    memory_calls: int
    categories: list[str]
    coverage: list[float]
    by_layer: dict[str, float]
    question_tokens: list[int]
    f1: float | None = None
    right: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The plan of a comparison.

    Attributes:
        scored: Whether the model answers the questions, and its answers are scored by token F1.
        by_model: Whether the model judges the answers too.
    """

    conversations: Sequence[Conversation]
    profiles: dict[str, Profile]
    embedder: Embedder
    model: BaseChatModel
    language: str = "english"
    scored: bool = False
    by_model: bool = False
    concurrency: int = 4


async def compare(
    comparison: Comparison, out: Path, on_progress: Callable[[str, int], None]
) -> list[Cell]:
    """The figures of every conversation under every profile; stored cells are not played again.

    Args:
        comparison: The plan.
        out: Folder of the stored cells; created if it is missing.
        on_progress: Receives a description and the number of finished cells.
    """
    cells_folder = out / "cells"
    cells_folder.mkdir(parents=True, exist_ok=True)
    text_pipeline = TextPipeline.for_language(comparison.language)
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="onionskin-experiment-") as folder:
        async with EmbeddedRedis(Path(folder)) as redis:
            connection = Connection(redis.url, timeout=_TIMEOUT)
            store = RedisStore(connection, embedder_tag=comparison.embedder.tag)
            try:
                for conversation in comparison.conversations:
                    for name, profile in comparison.profiles.items():
                        on_progress(f"{conversation.id} under {name}", len(cells))
                        file = cells_folder / f"{_key(comparison, conversation, name)}.json"
                        if file.exists():
                            cells.append(msgspec.json.decode(file.read_bytes(), type=Cell))
                            continue
                        played = await play(
                            conversation,
                            name,
                            profile,
                            store=store,
                            embedder=comparison.embedder,
                            text_pipeline=text_pipeline,
                            model=comparison.model,
                        )
                        cell = await _cell(comparison, played)
                        partial = file.with_suffix(".partial")
                        partial.write_text(json.dumps(asdict(cell)), encoding="utf-8")
                        partial.replace(file)
                        cells.append(cell)
            finally:
                await connection.aclose()
    on_progress("done", len(cells))
    return cells


def estimated_cost(comparison: Comparison) -> tuple[int, int]:
    """An estimate of the most model calls and tokens that a run with a real model takes."""
    calls = tokens = 0
    for profile in comparison.profiles.values():
        for conversation in comparison.conversations:
            turns = pairs(conversation.messages)
            spoken = sum(count_tokens(pair.message + pair.reply) for pair in turns)
            if "classic" in profile.layers or profile.custom_layers:
                calls += len(turns)
                tokens += 2 * spoken + len(turns) * _REPLY_TOKENS
            elif profile.summary_policy:
                calls += len(turns) // 6
                tokens += 2 * spoken
            if comparison.scored:
                answers = len(conversation.questions) * (2 if comparison.by_model else 1)
                calls += answers
                tokens += answers * 3000
    return calls, tokens


async def _cell(comparison: Comparison, played: Played) -> Cell:
    scores: list[Score] = []
    if comparison.scored:
        answers = await score_answers(
            played.questions,
            comparison.model,
            by_model=comparison.by_model,
            concurrency=comparison.concurrency,
            on_progress=lambda: None,
        )
        scores = [score for score in answers if score]
    layers = dict.fromkeys(layer for question in played.questions for layer in question.by_layer)
    rights = [score.right for score in scores if score.right is not None]
    return Cell(
        played.conversation,
        played.profile,
        list(played.prompt_tokens),
        [round(time, 2) for time in played.milliseconds],
        played.memory_calls,
        [question.category for question in played.questions],
        [question.coverage for question in played.questions],
        {
            layer: sum(question.by_layer.get(layer, 0) for question in played.questions)
            / len(played.questions)
            for layer in layers
        },
        [question.prompt_tokens for question in played.questions],
        sum(score.f1 for score in scores) / len(scores) if scores else None,
        sum(rights) / len(rights) if rights else None,
    )


def code_digest(name: str, profile: Profile) -> str:
    """A hash of the code that a profile's figures depend on.

    That is the code of this version, the operator's own classes with the modules beside them, and
    the versions of the packages that define the others.

    Raises:
        ConfigurationError: A class of the operator cannot be loaded.
    """
    digest = hashlib.sha256(_product_digest().encode())
    for path in profile.custom_layers:
        found = load_object(path, profile.folders, f"The layer {path!r} of profile {name!r}")
        for file in source_files(found):
            digest.update(f"{file.name}\0".encode() + file.read_bytes())
    for package in ("langchain-classic", "langchain-community", "langchain-core"):
        with suppress(PackageNotFoundError):
            digest.update(f"{package} {version(package)}".encode())
    return digest.hexdigest()


@lru_cache(1)
def _product_digest() -> str:
    """A hash of the product's own code and tables, which an editable installation may change."""
    digest = hashlib.sha256()
    for package in ("memory", "chains", "experiments"):
        folder = Path(onionskin.__path__[0]) / package
        for file in sorted(folder.rglob("*")):
            if file.suffix in {".py", ".lua", ".toml"}:
                digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _key(comparison: Comparison, conversation: Conversation, name: str) -> str:
    """The file name of a cell, with a hash of everything that its figures depend on."""
    profile = comparison.profiles[name]
    parts = [
        msgspec.json.encode(msgspec.structs.replace(profile, folder="")).decode(),
        code_digest(name, profile),
        comparison.embedder.tag,
        repr(comparison.model.model_dump(mode="python", exclude_none=True))
        if comparison.scored
        else type(comparison.model).__name__,
        comparison.language,
        f"{comparison.scored} {comparison.by_model}",
        *(f"{recorded.id} {recorded.message}" for recorded in conversation.messages),
        *(f"{question}" for question in conversation.questions),
    ]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    plain = "".join(letter if letter.isalnum() else "-" for letter in f"{conversation.id}.{name}")
    return f"{plain}-{digest}"
