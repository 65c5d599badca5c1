"""A parsed query: its terms, words, dates, and the speaker it names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index, Postings
from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.language.analyzer import TextPipeline, words_of
from onionskin.memory.retrieval.language.dates import Span, Today, spans
from onionskin.memory.time_zones import local_day
from onionskin.memory.types.messages import Vector


@dataclass(frozen=True)
class ParsedQuery:
    """A query in the numbers of one index.

    Attributes:
        vector: `(dim,)`, or None to search by words alone.
        terms: Distinct term ids, without speakers' names.
        words: Ids of the words' pieces in the table of word vectors, without speakers' names.
        term_rarity: Rarity of each piece's word, `(len(words),)`; 0 for a stop word.
        spans: The dates that the query names.
        asks_when: Whether it asks for a time.
        author: Number of the one speaker that it names, or None.
        bm25: The index that the term ids belong to.
        utc_offset: Offset from UTC of the person who asks, in seconds; 0 if unknown.
    """

    vector: Vector | None
    terms: Sequence[int]
    words: NDArray[np.int64]
    term_rarity: NDArray[np.float32]
    spans: tuple[Span, ...]
    asks_when: bool
    author: int | None
    bm25: Bm25Index
    utc_offset: int = 0

    @cached_property
    def postings(self) -> Postings:
        """The postings of the query's terms."""
        return self.bm25.postings(self.terms)


def parse_query(
    text: str,
    vector: Vector | None,
    *,
    bm25: Bm25Index,
    message_features: MessageFeatures,
    text_pipeline: TextPipeline,
    now: float | None = None,
    today: Today | None = None,
    fast: bool = False,
) -> ParsedQuery:
    """Parse a query against the terms, speakers and dates of an index.

    Args:
        text: The query.
        vector: Its vector, or None.
        bm25: The terms of the index.
        message_features: The speakers and dates of the index.
        text_pipeline: The language of the index.
        now: Unix time that dates start from; None for the newest message's.
        today: Day that relative dates start from; None for that of `now`.
        fast: Leave `words` and `term_rarity` empty.
    """
    folded = text.casefold()
    names = named_in(folded, message_features.authors)
    stripped = strip_names(text, names) if names else text
    analyze = text_pipeline.analyze
    terms = bm25.select_terms(analyze(stripped)) or bm25.select_terms(analyze(text))
    pieces, rarity = list[int](), list[float]()
    for word in () if fast else dict.fromkeys(words_of(stripped.casefold())):
        ids = text_pipeline.vectors.ids([word])
        pieces += ids
        rarity += [bm25.max_idf(analyze.terms([word]))] * len(ids)
    latest = local_day(now) if now is not None else message_features.newest_day
    return ParsedQuery(
        vector,
        terms,
        np.array(pieces, np.int64),
        np.array(rarity, np.float32),
        tuple(spans(text, latest, text_pipeline.words, today.day if today else None)),
        bool(text_pipeline.words.asks_when.search(folded)),
        message_features.authors[names[0]] if len(names) == 1 else None,
        bm25,
        today.utc_offset or 0 if today else 0,
    )


def named_in(folded: str, authors: dict[str, int]) -> list[str]:
    """The speakers whose names occur in a case-folded text as whole words."""
    return [
        name
        for name in authors
        if name and name in folded and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", folded)
    ]


def strip_names(text: str, names: list[str]) -> str:
    """The text without the names and the possessive endings behind them."""
    if not names:
        return text
    pattern = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{pattern})(?:['\u2019]s)?(?!\w)", " ", text, flags=re.IGNORECASE)
