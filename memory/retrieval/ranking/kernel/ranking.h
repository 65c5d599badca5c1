/* Ranks a user's messages by their words and their meaning: what memory/retrieval/ranking/candidates.py and the
   brief parts of memory/retrieval/ranking/features.py do with NumPy, in one walk. The two are held to the same
   results by tests/memory/retrieval/ranking/test_kernel.py; whoever changes one changes the other.

   Rows are numbered from 0 in the order of arrival; -1 is no row. */

#ifndef ONIONSKIN_RANKING_H
#define ONIONSKIN_RANKING_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    FORMS = 8,          /* columns of a message's form; see Rows.form */
    FORM_TIMES = 4,     /* the one that counts words of time */
    STEPS = 5,          /* a row, two before it and two after it, in its session */
    HERE = 2,           /* where among them the row itself stands */
    MOST_TERMS = 48,    /* of a query */
    EVERY_ROW = 400,    /* with no more rows than this, all are candidates */
    SEEDS = 128,        /* the best by words, and the best by meaning */
    WIDENED = 64,       /* of which so many bring their neighbours */
    MOST_ROWS = SEEDS * 2 + WIDENED * 2 * 3, /* that are candidates, EVERY_ROW among them */
};

/* What a candidate's score is made of, in the order of KERNEL_FEATURES in memory/retrieval/ranking/ranker.py. */
enum { WORDS, WORDS_AROUND, COSINE, MEANING, MEANING_AROUND, WHEN_TIMES, FORM, PARTS = FORM + FORMS };

/* The messages that hold one term of a query, ascending. */
typedef struct {
    const uint32_t *rows;
    const uint16_t *counts;
    int64_t holding;
} Term;

/* A user's messages. */
typedef struct {
    int64_t rows;
    const int64_t *previous, *next; /* (rows,): of the same session */
    const float *form;              /* (rows, FORMS) */
    float *lengths;                 /* (rows,): of vectors with those before; NAN: not reckoned */
    const int64_t *dead;            /* (deads,): rows that were deleted */
    int64_t deads;
    const uint8_t *codes;           /* (vectors, dim): signed bytes, 128 added */
    int64_t vectors, dim;
    const int64_t *place;           /* (placed,): where a row's vector stands, -1 for none */
    int64_t placed;
} Messages;

/* What is looked for. */
typedef struct {
    Term terms[MOST_TERMS];
    int64_t count;
    const float *vector;  /* (dim,); NULL to go by words alone */
    const int64_t *near;  /* (nears,): rows by meaning, the nearest first */
    int64_t nears;
    int asks_when;
} Question;

/* The rows worth ranking, ascending, into `found` (MOST_ROWS); returns how many. */
int64_t find_candidates(const Messages *messages, const Question *question, int64_t *found);

/* Their parts, `(count, width)`, part `p` in column `columns[p]`; other columns are left alone.
   Returns 0, or -1 where there is no memory. */
int measure(const Messages *messages, const Question *question, const int64_t *rows, int64_t count,
            float *parts, int64_t width, const int32_t *columns);

/* Small things that both halves need. */

static inline float greater(float one, float other) { return one > other ? one : other; }

/* BM25 of one term, with k1 = 0.4 and without length normalisation. */
static inline float by_words(float weight, float count) {
    return weight * count * 1.4f / (count + 0.4f);
}

/* How little a term is held by: its inverse frequency among `rows`. */
static inline float rarity(int64_t rows, int64_t holding) {
    return log1pf((rows - holding + 0.5f) / (holding + 0.5f));
}

/* The row `steps` messages on, or back, in its session; -1 where there is none. */
static inline int64_t step(const Messages *messages, int64_t row, int steps) {
    const int64_t *way = steps > 0 ? messages->next : messages->previous;
    for (int left = abs(steps); left && row >= 0; left--) {
        row = way[row];
        if (row >= messages->rows) row = -1;
    }
    return row;
}

#endif
