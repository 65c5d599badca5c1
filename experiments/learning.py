"""Learning the weights of recall's parts from conversations with questions.

The score of a message is a weighted sum of parts, so what is learned is one number a part. The loss
asks that no message that holds evidence scores far below the best of the other candidates; a
penalty on the squares of the weights keeps them small.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onionskin.experiments.conversations import Conversation
from onionskin.experiments.recall import Indexed
from onionskin.memory.retrieval.ranking.candidates import Candidates, Floats
from onionskin.memory.retrieval.ranking.features import NAMES
from onionskin.memory.retrieval.ranking.weights import AROUND, Weights, around, hand_scores

_SLACK, _PENALTY = 3.0, 0.003
_STEPS, _RATE = 300, 0.05
_KEPT = 200
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Example:
    """A question's candidates: their parts, `(m, len(NAMES))`, and which hold evidence, `(m,)`."""

    conversation: str
    parts: Floats
    evidence: NDArray[np.bool_]
    candidates: Candidates
    sessions: NDArray[np.int32]


def examples(indexed: Sequence[Indexed]) -> list[Example]:
    """Every question some of whose evidence is among its candidates."""
    made: list[Example] = []
    for one in indexed:
        for question, vector in zip(one.conversation.questions, one.vectors, strict=True):
            ranker = one.index.ranker
            read = ranker.read(question.text, vector)
            candidates = ranker.candidates(read)
            parts = ranker.measure(read, candidates)
            holding = {one.rows[name] for name in question.evidence}
            evidence = np.array([row in holding for row in candidates.rows.tolist()])
            if evidence.any():
                sessions = one.index.sessions_of(candidates.rows)
                made.append(Example(one.conversation.id, parts, evidence, candidates, sessions))
    return made


def learn(taught: Sequence[Example]) -> Weights:
    """Weights from examples."""
    kept = [np.argsort(-hand_scores(one.parts), kind="stable")[:_KEPT] for one in taught]
    columns = [
        np.concatenate(
            [one.parts, around(hand_scores(one.parts), one.candidates, one.sessions)], axis=1
        )
        for one in taught
    ]
    weights = _fit(columns, [one.evidence for one in taught], kept)
    rounded = np.round(weights.astype(float), _DECIMALS).tolist()
    named = zip((*NAMES, *AROUND), rounded, strict=True)
    return Weights({name: weight for name, weight in named if weight})


def learn_without(
    conversations: Sequence[Conversation], taught: Sequence[Example], tell: Callable[[str], None]
) -> dict[str, Weights]:
    """For each conversation, weights learned from all the others."""
    weights: dict[str, Weights] = {}
    for conversation in conversations:
        tell(f"learning without {conversation.id}")
        others = [example for example in taught if example.conversation != conversation.id]
        weights[conversation.id] = learn(others)
    return weights


def _fit(
    parts: Sequence[Floats],
    evidence: Sequence[NDArray[np.bool_]],
    kept: Sequence[NDArray[np.intp]],
) -> Floats:
    """Weights by full-batch Adam over the standardised columns, then scaled back."""
    width = parts[0].shape[1]
    block = np.zeros((len(parts), _KEPT, width), np.float32)
    holds = np.zeros((len(parts), _KEPT), np.bool_)
    real = np.zeros((len(parts), _KEPT), np.bool_)
    for place, rows in enumerate(kept):
        block[place, : len(rows)] = parts[place][rows]
        holds[place, : len(rows)] = evidence[place][rows]
        real[place, : len(rows)] = True
    useful = holds.any(axis=1)
    block, holds, real = block[useful], holds[useful], real[useful]
    mean, deviation = block[real].mean(axis=0), block[real].std(axis=0)
    steady = np.where(deviation > 1e-6, deviation, np.inf).astype(np.float32)  # noqa: PLR2004
    block = (block - mean) / steady
    block[~real] = 0
    weights = np.zeros(width, np.float32)
    momentum, energy = np.zeros(width), np.zeros(width)
    flat = block.reshape(-1, width)
    for step in range(1, _STEPS + 1):
        slope = _slope((flat @ weights).reshape(holds.shape), holds, real)
        gradient = flat.T @ slope.ravel() + 2 * _PENALTY * weights
        momentum = 0.9 * momentum + 0.1 * gradient
        energy = 0.999 * energy + 0.001 * gradient**2
        rate = _RATE * (1 - step / (_STEPS + 1))
        unbiased = np.sqrt(energy / (1 - 0.999**step)) + 1e-8
        weights = (weights - rate * momentum / (1 - 0.9**step) / unbiased).astype(np.float32)
    return (weights / steady).astype(np.float32)


def _slope(
    scores: Floats, holds: NDArray[np.bool_], real: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The loss's derivative by each score: softplus(logsumexp(others) - score - slack)."""
    others = np.where(real & ~holds, scores, -np.inf)
    top = others.max(axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    exponents = np.exp(others - top)
    total = exponents.sum(axis=1, keepdims=True) + 1e-30
    above = np.log(total) + top
    share = 1 / (1 + np.exp(np.clip(scores - above + _SLACK, -60, 60)))
    pull = np.where(holds, share, 0) / holds.sum(axis=1, keepdims=True)
    slope = exponents / total * pull.sum(axis=1, keepdims=True) - pull
    return (slope / len(scores)).astype(np.float32)
