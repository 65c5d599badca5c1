"""BM25 over postings that grow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.retrieval.index.bm25 import Bm25Index


@given(rows=st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), min_size=1, max_size=30))
def test_incremental_bm25_is_the_textbook_formula(rows: list[list[str]]) -> None:
    postings = Bm25Index()
    for row in rows:
        postings.add(row)
    mean = sum(map(len, rows)) / len(rows)
    for place, score in enumerate(
        postings.scores(postings.postings(postings.select_terms(["a", "b"])))
    ):
        expected = 0.0
        for term in ("a", "b"):
            holding = sum(term in row for row in rows)
            count = rows[place].count(term)
            if count:
                idf = np.log(1 + (len(rows) - holding + 0.5) / (holding + 0.5))
                norm = 1.2 * (0.25 + 0.75 * len(rows[place]) / mean)
                expected += idf * count * 2.2 / (count + norm)
        assert score == pytest.approx(expected, rel=1e-4)


def test_a_word_of_every_other_row_is_passed_over_once_there_are_many() -> None:
    postings = Bm25Index()
    for number in range(2000):
        postings.add(["common", f"rare{number}"] if number % 2 else [f"rare{number}"])
    assert not postings.scores(postings.postings(postings.select_terms(["common"]))).any()
    scores = postings.scores(postings.postings(postings.select_terms(["common", "rare7"])))
    assert np.flatnonzero(scores).tolist() == [7]
