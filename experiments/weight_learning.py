"""Learns ranking weights from conversations with questions.

A message's score is a weighted sum of its features, and one weight is learned per feature. The loss
penalises a message with evidence that scores far below the best other candidate. A penalty on the
squared weights keeps them small.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onionskin.experiments.conversations import Conversation
from onionskin.experiments.recall import IndexedConversation
from onionskin.memory.retrieval.ranking.candidates import Candidates, Floats
from onionskin.memory.retrieval.ranking.features import NAMES
from onionskin.memory.retrieval.ranking.weights import (
    RANK_FEATURES,
    Weights,
    hand_made_scores,
    rank_features,
)

_MARGIN, _PENALTY = 3.0, 0.003
_STEPS, _RATE = 300, 0.05
_MAX_CANDIDATES = 200
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Example:
    """The candidates of a question.

    Attributes:
        conversation: Id of the conversation.
        features: `(m, len(NAMES))`.
        evidence: `(m,)`, which candidates hold evidence.
        candidates: The `m` candidates.
        sessions: `(m,)`, the number of each candidate's session.
    """

    conversation: str
    features: Floats
    evidence: NDArray[np.bool_]
    candidates: Candidates
    sessions: NDArray[np.int32]


def examples(conversations: Sequence[IndexedConversation]) -> list[Example]:
    """An example for each question that has evidence among its candidates."""
    collected: list[Example] = []
    for indexed in conversations:
        conversation, ranker = indexed.conversation, indexed.index.ranker
        for question, vector in zip(conversation.questions, indexed.vectors, strict=True):
            query = ranker.parse(question.text, vector)
            candidates = ranker.generate(query)
            features = ranker.compute_features(query, candidates)
            evidence_rows = {
                row for message_id in question.evidence for row in indexed.rows[message_id]
            }
            evidence = np.array([row in evidence_rows for row in candidates.rows.tolist()])
            if evidence.any():
                sessions = indexed.index.sessions_of(candidates.rows)
                collected.append(Example(conversation.id, features, evidence, candidates, sessions))
    return collected


def learn(training: Sequence[Example]) -> Weights:
    """Weights learned from examples."""
    scores = [hand_made_scores(example.features) for example in training]
    places = [np.argsort(-own, kind="stable")[:_MAX_CANDIDATES] for own in scores]
    columns = [
        np.concatenate(
            [example.features, rank_features(own, example.candidates, example.sessions)], axis=1
        )
        for example, own in zip(training, scores, strict=True)
    ]
    weights = _fit(columns, [example.evidence for example in training], places)
    rounded = np.round(weights.astype(float), _DECIMALS).tolist()
    named = zip((*NAMES, *RANK_FEATURES), rounded, strict=True)
    return Weights({name: weight for name, weight in named if weight})


def learn_without(
    conversations: Sequence[Conversation],
    training: Sequence[Example],
    on_progress: Callable[[str], None],
) -> dict[str, Weights]:
    """For each conversation, by id, weights learned from all others."""
    weights: dict[str, Weights] = {}
    for conversation in conversations:
        on_progress(f"learning without {conversation.id}")
        others = [example for example in training if example.conversation != conversation.id]
        weights[conversation.id] = learn(others)
    return weights


def _fit(
    columns: Sequence[Floats],
    evidence: Sequence[NDArray[np.bool_]],
    places: Sequence[NDArray[np.intp]],
) -> Floats:
    """Weights by full-batch Adam over the standardised columns, then scaled back."""
    width = columns[0].shape[1]
    block = np.zeros((len(columns), _MAX_CANDIDATES, width), np.float32)
    holds = np.zeros((len(columns), _MAX_CANDIDATES), np.bool_)
    real = np.zeros((len(columns), _MAX_CANDIDATES), np.bool_)
    for number, rows in enumerate(places):
        block[number, : len(rows)] = columns[number][rows]
        holds[number, : len(rows)] = evidence[number][rows]
        real[number, : len(rows)] = True
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
    """The loss's derivative by each score: softplus(logsumexp(others) - score - margin)."""
    others = np.where(real & ~holds, scores, -np.inf)
    top = others.max(axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    exponents = np.exp(others - top)
    total = exponents.sum(axis=1, keepdims=True) + 1e-30
    above = np.log(total) + top
    share = 1 / (1 + np.exp(np.clip(scores - above + _MARGIN, -60, 60)))
    pull = np.where(holds, share, 0) / holds.sum(axis=1, keepdims=True)
    slope = exponents / total * pull.sum(axis=1, keepdims=True) - pull
    return (slope / len(scores)).astype(np.float32)
