/* Ranks a user's messages by their words and vectors. The same in NumPy is candidates.py and the
   fast features of features.py, in the folder above; tests compare the results of both, so a change
   of one needs the same change of the other.

   Rows are numbered from 0 in the order of the messages; -1 is no row. */

#ifndef ONIONSKIN_RANKING_H
#define ONIONSKIN_RANKING_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    FORMS = 8,            /* columns of a message's form; FORM in message_features.py */
    FORM_TIMES = 4,       /* the column that counts words of time */
    REACH = 2,            /* messages before and after a row in its window */
    WINDOW = 2 * REACH + 1, /* rows of a window, in one session */
    MAX_TERMS = 48,       /* terms of a query */
    EVERY_ROW = 400,      /* an index of at most this many rows is ranked as a whole */
    SEEDS = 128,          /* hits taken from each of the two searches */
    WITH_NEIGHBOURS = 64, /* the best of each search add their neighbours */
    MAX_CANDIDATES = 2 * SEEDS + 2 * 3 * WITH_NEIGHBOURS, /* at least EVERY_ROW */
};

/* A candidate's features, in the order of KERNEL_FEATURES in ranker.py. */
enum {
    WORDS,
    WORDS_AROUND,
    COSINE,
    MEANING,
    MEANING_AROUND,
    WHEN_TIMES,
    FORM,
    FEATURES = FORM + FORMS
};

/* The posting list of a term: the rows with the term, ascending, and its count in each. */
typedef struct {
    const uint32_t *rows;
    const uint16_t *counts;
    int64_t row_count;
} Postings;

/* The messages of a user. */
typedef struct {
    int64_t rows;
    const int64_t *previous, *next; /* (rows,): neighbours in the session */
    const float *forms;             /* (rows, FORMS) */
    float *context_norms;           /* (rows,): NaN where not computed yet; see context_norms.py */
    const int64_t *deleted;         /* (deleted_count,): deleted rows */
    int64_t deleted_count;
    const uint8_t *codes; /* (vectors, dim): components as signed bytes plus 128 */
    int64_t vectors, dim;
    const int64_t *places; /* (placed,): place of each row's vector in `codes`; -1 for none */
    int64_t placed;
} Messages;

/* A parsed query. */
typedef struct {
    Postings terms[MAX_TERMS];
    int64_t term_count;
    const float *vector;    /* (dim,); NULL for words alone */
    const int64_t *nearest; /* (nearest_count,): rows by similarity, best first */
    int64_t nearest_count;
    int asks_when;
} Query;

/* Write the rows worth ranking, ascending, to `rows` (MAX_CANDIDATES); returns their number. */
int64_t generate_candidates(const Messages *messages, const Query *query, int64_t *rows);

/* Write the candidates' features to a table, `(count, width)`: feature `f` to column `columns[f]`.
   Other columns are not changed. Returns 0, or -1 if memory is short. */
int compute_features(const Messages *messages, const Query *query, const int64_t *rows,
                     int64_t count, float *table, int64_t width, const int32_t *columns);

static inline float larger(float a, float b) { return a > b ? a : b; }

static inline float smaller(float a, float b) { return a < b ? a : b; }

/* The BM25 score of one term, with k1 = 0.4 and without length normalisation. */
static inline float bm25(float weight, float count) {
    return weight * count * 1.4f / (count + 0.4f);
}

/* The inverse frequency of a term that is in `row_count` of `rows` rows. */
static inline float idf(int64_t rows, int64_t row_count) {
    return log1pf((rows - row_count + 0.5f) / (row_count + 0.5f));
}

/* The row at an offset, in messages of the same session; -1 if there is none. */
static inline int64_t step(const Messages *messages, int64_t row, int offset) {
    const int64_t *links = offset > 0 ? messages->next : messages->previous;
    for (int left = abs(offset); left && row >= 0; left--) {
        row = links[row];
        if (row >= messages->rows) row = -1;
    }
    return row;
}

#endif
