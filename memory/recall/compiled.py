"""The brief parts of a score in compiled code, where it could be built; `kernel/` holds the source.

Where there was no compiler at the installation, NumPy does the same, about half as fast.
"""

import numpy as np
from numpy.typing import NDArray

from memory.recall.candidates import Floats
from memory.recall.dense import Vectors
from memory.recall.lexical import Postings
from memory.recall.parts import NAMES, PLACES, add_days_and_author
from memory.recall.question import Question
from memory.recall.rows import FORM, Rows
from memory.recall.seeds import EVERY_ROW, SEEDS, passed_over
from memory.recall.surroundings import Surroundings

try:
    from memory.recall._kernel import rank as kernel_rank
except ImportError:
    kernel_rank = None

PARTS = ("words", "words_around", "cosine", "meaning", "meaning_around", "when_times", *FORM)
"""What the kernel fills in, in its order."""
_COLUMNS = np.array([PLACES[name] for name in PARTS], np.int32)
_NO_VECTORS = np.empty(0, np.uint8)


def is_compiled() -> bool:
    """Whether the kernel is there."""
    return kernel_rank is not None


def brief_parts(
    question: Question,
    *,
    postings: Postings,
    vectors: Vectors,
    rows: Rows,
    surroundings: Surroundings,
) -> tuple[NDArray[np.intp], Floats] | None:
    """The rows worth ranking, and the parts of their scores that cost little.

    Args:
        question: what is looked for.
        postings: of all rows.
        vectors: of all rows.
        rows: what is known of their form.
        surroundings: what was reckoned ahead.

    Returns:
        Rows, `(m,)` ascending, and `(m, len(NAMES))` float32; None where the kernel is not there,
        or the vectors are so many that FAISS holds them in cells.
    """
    codes = vectors.bytes
    if kernel_rank is None or (codes is None and len(vectors)):
        return None
    vector, near = None, None
    if question.vector is not None and vectors.fits(question.vector):
        vector = np.ascontiguousarray(question.vector, np.float32)
        if len(rows) > EVERY_ROW:
            near = vectors.nearest(vector, SEEDS + passed_over(rows))
    found, parts = kernel_rank(
        *postings.held(question.terms),
        rows.previous,
        rows.next,
        rows.forms,
        surroundings.known,
        rows.dead,
        vectors.places,
        vector,
        _NO_VECTORS if codes is None else codes,
        np.empty(0, np.int64) if near is None else near,
        question.asks_when,
        len(NAMES),
        _COLUMNS,
    )
    where = np.frombuffer(found, np.int64)
    table = np.frombuffer(parts, np.float32).reshape(-1, len(NAMES))
    if question.spans or question.author is not None:
        add_days_and_author(table, question, where, rows)
    return where, table
