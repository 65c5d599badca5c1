"""The profiles experiment: conversations under several memory profiles, cell by cell, resumable."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
from langchain_core.language_models import BaseChatModel

from onionskin.experiments.conversations import Conversation
from onionskin.experiments.playback import Played, pairs, play
from onionskin.experiments.scoring import Judged, judge_all
from onionskin.memory.profiles import Profile
from onionskin.memory.retrieval import Embedder, TextPipeline
from onionskin.memory.store import Connection, EmbeddedRedis, RedisStore
from onionskin.memory.tokens import count_tokens

_TIMEOUT = timedelta(seconds=60)
_REPLY_TOKENS = 150


@dataclass(frozen=True, slots=True)
class Cell:
    """One conversation under one profile, as it is kept in `cells/`."""

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
    """What is compared, and with what.

    Attributes:
        judged: whether questions are answered by the model and judged by token F1.
        by_model: whether the model judges too.
    """

    conversations: Sequence[Conversation]
    profiles: dict[str, Profile]
    embedder: Embedder
    model: BaseChatModel
    language: str = "english"
    judged: bool = False
    by_model: bool = False
    concurrency: int = 4


async def compare(
    comparison: Comparison, out: Path, tell: Callable[[str, int], None]
) -> list[Cell]:
    """Play every conversation under every profile, but for the cells that `out` holds already.

    Args:
        comparison: what is compared.
        out: a folder; made if it is missing.
        tell: told what is being played, and how many cells are done.
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
                        tell(f"{conversation.id} under {name}", len(cells))
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
    tell("done", len(cells))
    return cells


def estimated_cost(comparison: Comparison) -> tuple[int, int]:
    """Model calls and tokens that a run with a real model takes, at most and roughly."""
    calls = tokens = 0
    for profile in comparison.profiles.values():
        for conversation in comparison.conversations:
            turns = pairs(conversation.messages)
            said = sum(count_tokens(pair.message + pair.reply) for pair in turns)
            if "classic" in profile.layers:
                calls += len(turns)
                tokens += 2 * said + len(turns) * _REPLY_TOKENS
            elif profile.summary_policy:
                calls += len(turns) // 6
                tokens += 2 * said
            if comparison.judged:
                asked = len(conversation.questions) * (2 if comparison.by_model else 1)
                calls += asked
                tokens += asked * 3000
    return calls, tokens


async def _cell(comparison: Comparison, played: Played) -> Cell:
    judged: list[Judged] = []
    if comparison.judged:
        answers = await judge_all(
            played.asked,
            comparison.model,
            by_model=comparison.by_model,
            concurrency=comparison.concurrency,
            tell=lambda: None,
        )
        judged = [one for one in answers if one]
    layers = dict.fromkeys(layer for one in played.asked for layer in one.by_layer)
    rights = [one.right for one in judged if one.right is not None]
    return Cell(
        played.conversation,
        played.profile,
        list(played.prompt_tokens),
        [round(one, 2) for one in played.milliseconds],
        played.memory_calls,
        [one.category for one in played.asked],
        [one.coverage for one in played.asked],
        {
            layer: sum(one.by_layer.get(layer, 0) for one in played.asked) / len(played.asked)
            for layer in layers
        },
        [one.prompt_tokens for one in played.asked],
        sum(one.f1 for one in judged) / len(judged) if judged else None,
        sum(rights) / len(rights) if rights else None,
    )


def _key(comparison: Comparison, conversation: Conversation, name: str) -> str:
    """Names a cell by all that its figures hang on, so that no other run's cell is taken for it."""
    parts = [
        msgspec.json.encode(comparison.profiles[name]).decode(),
        comparison.embedder.tag,
        repr(comparison.model.model_dump(mode="python", exclude_none=True))
        if comparison.judged
        else type(comparison.model).__name__,
        comparison.language,
        f"{comparison.judged} {comparison.by_model}",
        *(f"{said.id} {said.message}" for said in conversation.messages),
        *(f"{asked}" for asked in conversation.questions),
    ]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    plain = "".join(letter if letter.isalnum() else "-" for letter in f"{conversation.id}.{name}")
    return f"{plain}-{digest}"
