#include "ranking.h"
#include "scratch.h"

#include <string.h>

static const float NEIGHBOUR_WEIGHT = 0.5f; /* of each of the two messages before */
static const float SCALE = 127.0f;          /* codes of a component of 1 */
static const float EPSILON = 1e-6f;         /* smallest divisor */
enum {
    CODE_ZERO = 128,  /* the code of a component of 0 */
    COMMON = 500,     /* a term in more rows has its windows estimated */
    LANES = 16,       /* sums side by side, for vector instructions */
    PREFETCH = 6,     /* vectors that are prefetched */
    CACHE_LINE = 64,
};

/* The inverse frequency of each term among windows of WINDOW messages. */
static void window_idf(const Messages *messages, const Query *query, float *weights) {
    for (int64_t term = 0; term < query->term_count; term++) {
        const Postings *postings = &query->terms[term];
        int64_t windows = postings->row_count * WINDOW;
        if (postings->row_count <= COMMON) {
            const uint32_t counted = new_mark();
            windows = 0;
            for (int64_t at = 0; at < postings->row_count; at++)
                for (int offset = -REACH; offset <= REACH; offset++) {
                    const int64_t row = step(messages, postings->rows[at], offset);
                    if (row < 0 || scratch.mark[row] == counted) continue;
                    scratch.mark[row] = counted;
                    windows++;
                }
        }
        weights[term] = idf(messages->rows, windows < messages->rows ? windows : messages->rows);
    }
}

/* The dot product of a stored vector and a query's. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx2", "default")))
#endif
static float dot_product(const uint8_t *codes, const float *vector, int64_t dim) {
    float sums[LANES] = {0}, sum = 0;
    int64_t at = 0;
    for (; at + LANES <= dim; at += LANES)
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] += (float)(codes[at + lane] - CODE_ZERO) * vector[at + lane];
    for (; at < dim; at++) sum += (float)(codes[at] - CODE_ZERO) * vector[at];
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    return sum / SCALE;
}

/* The vector of a row; NULL if it has none. */
static const uint8_t *codes_of(const Messages *messages, int64_t row) {
    const int64_t place = row >= 0 && row < messages->placed ? messages->places[row] : -1;
    if (place < 0 || place >= messages->vectors) return NULL;
    return messages->codes + place * messages->dim;
}

/* Write the cosines of the candidates and of the two messages before each, by their numbers; NaN
   stays where a row has no vector. The vectors are far apart in memory, hence the prefetching. */
static void compute_cosines(const Messages *messages, const Query *query, const int64_t *rows,
                            int64_t count, float *cosines) {
    static const uint8_t *vectors[MAX_CANDIDATES * (REACH + 1)];
    static uint32_t numbers[MAX_CANDIDATES * (REACH + 1)];
    int64_t vector_count = 0;
    for (int64_t at = 0; at < count; at++)
        for (int offset = -REACH; offset <= 0; offset++) {
            const int64_t row = step(messages, rows[at], offset);
            const uint8_t *codes = codes_of(messages, row);
            if (!codes || !isnan(cosines[scratch.number[row]])) continue;
            cosines[scratch.number[row]] = 0; /* not NaN: listed already */
            numbers[vector_count] = scratch.number[row];
            vectors[vector_count++] = codes;
        }
    for (int64_t at = 0; at < vector_count; at++) {
        if (at + PREFETCH < vector_count)
            for (int64_t byte = 0; byte < messages->dim; byte += CACHE_LINE)
                __builtin_prefetch(vectors[at + PREFETCH] + byte);
        cosines[numbers[at]] = dot_product(vectors[at], query->vector, messages->dim);
    }
}

/* The norm of a message's context vector: its vector plus half of each of the two before it. */
static float context_norm(const Messages *messages, int64_t row) {
    const uint8_t *codes[REACH + 1];
    for (int back = 0; back <= REACH; back++)
        codes[back] = codes_of(messages, step(messages, row, -back));
    float squares = 0;
    for (int64_t at = 0; at < messages->dim; at++) {
        float component = 0;
        for (int back = 0; back <= REACH; back++)
            if (codes[back])
                component +=
                    (back ? NEIGHBOUR_WEIGHT : 1.0f) * (codes[back][at] - CODE_ZERO) / SCALE;
        squares += component * component;
    }
    return sqrtf(squares);
}

/* Divide a column of the table by its maximum. */
static void scale_to_top(float *column, int64_t count, int64_t width) {
    float top = EPSILON;
    for (int64_t at = 0; at < count; at++) top = larger(top, column[at * width]);
    for (int64_t at = 0; at < count; at++) column[at * width] /= top;
}

/* Scale a column of the table to values between 0 and 1. */
static void scale_min_max(float *column, int64_t count, int64_t width) {
    float low = column[0], high = column[0];
    for (int64_t at = 1; at < count; at++) {
        low = smaller(low, column[at * width]);
        high = larger(high, column[at * width]);
    }
    const float range = larger(high - low, EPSILON);
    for (int64_t at = 0; at < count; at++) column[at * width] = (column[at * width] - low) / range;
}

int compute_features(const Messages *messages, const Query *query, const int64_t *rows,
                     int64_t count, float *table, int64_t width, const int32_t *columns) {
    const int64_t terms = query->term_count;
    float window_weights[MAX_TERMS], weights[MAX_TERMS];
    window_idf(messages, query, window_weights);
    for (int64_t term = 0; term < terms; term++)
        weights[term] = idf(messages->rows, query->terms[term].row_count);

    /* Number the distinct rows of all windows, so that their counts and cosines are dense. */
    const int64_t most = count * WINDOW;
    float *counts = reserve_block(most * (terms + 1) + 1), *cosines = counts + most * terms;
    if (!counts) return -1;
    const uint32_t numbered = new_mark();
    uint32_t context_size = 0;
    for (int64_t at = 0; at < count; at++)
        for (int offset = -REACH; offset <= REACH; offset++) {
            const int64_t row = step(messages, rows[at], offset);
            if (row < 0 || scratch.mark[row] == numbered) continue;
            scratch.mark[row] = numbered;
            cosines[context_size] = NAN;
            scratch.number[row] = context_size++;
        }
    if (query->vector) compute_cosines(messages, query, rows, count, cosines);
    memset(counts, 0, context_size * terms * sizeof *counts);
    for (int64_t term = 0; term < terms; term++) {
        const Postings *postings = &query->terms[term];
        for (int64_t at = 0; at < postings->row_count; at++)
            if (scratch.mark[postings->rows[at]] == numbered)
                counts[scratch.number[postings->rows[at]] * terms + term] = postings->counts[at];
    }

    float low = 1, high = -1;
    for (int64_t at = 0; at < count; at++) {
        const float cosine = cosines[scratch.number[rows[at]]];
        const float value = isnan(cosine) ? 0 : cosine;
        low = smaller(low, value);
        high = larger(high, value);
    }
    const float range = larger(high - low, EPSILON);

    for (int64_t at = 0; at < count; at++) {
        const int64_t row = rows[at];
        float *features = table + at * width, window_counts[MAX_TERMS] = {0}, before = 0;
        for (int offset = -REACH; offset <= REACH; offset++) {
            const int64_t neighbour = step(messages, row, offset);
            if (neighbour < 0) continue;
            const uint32_t number = scratch.number[neighbour];
            for (int64_t term = 0; term < terms; term++)
                window_counts[term] += counts[number * terms + term];
            if (offset < 0 && !isnan(cosines[number])) before += cosines[number];
        }
        const uint32_t number = scratch.number[row];
        float words = 0, around = 0;
        for (int64_t term = 0; term < terms; term++) {
            words += bm25(weights[term], counts[number * terms + term]);
            around += bm25(window_weights[term], window_counts[term]);
        }
        features[columns[WORDS]] = words;
        features[columns[WORDS_AROUND]] = around;
        for (int form = 0; form < FORMS; form++)
            features[columns[FORM + form]] = messages->forms[row * FORMS + form];
        const float times = messages->forms[row * FORMS + FORM_TIMES];
        features[columns[WHEN_TIMES]] = query->asks_when ? times : 0;
        if (!query->vector) continue;
        if (isnan(messages->context_norms[row]))
            messages->context_norms[row] = context_norm(messages, row);
        const int has_vector = !isnan(cosines[number]);
        const float cosine = has_vector ? cosines[number] : 0;
        features[columns[COSINE]] = cosine;
        features[columns[MEANING]] = has_vector ? (cosine - low) / range : 0;
        features[columns[MEANING_AROUND]] = (cosine + NEIGHBOUR_WEIGHT * before) /
                                            larger(messages->context_norms[row], EPSILON);
    }
    scale_to_top(table + columns[WORDS], count, width);
    scale_to_top(table + columns[WORDS_AROUND], count, width);
    if (query->vector) scale_min_max(table + columns[MEANING_AROUND], count, width);
    return 0;
}
