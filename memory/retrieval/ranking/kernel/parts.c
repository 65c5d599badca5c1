#include "ranking.h"
#include "scratch.h"

#include <string.h>

static const float BEFORE = 0.5f;  /* what each of the two messages before counts for */
static const float SCALE = 127.0f; /* a byte's share of a component of a unit vector */
static const float LEAST = 1e-6f;  /* what a maximum is at least, to be divided by */
enum { ADDED = 128, MANY = 500, LANES = 16, AHEAD = 6, CACHE_LINE = 64 };

/* How rare each term is among windows of five messages. */
static void window_rarities(const Messages *messages, const Question *question, float *rare) {
    for (int64_t term = 0; term < question->count; term++) {
        const Term *held = &question->terms[term];
        int64_t reached = held->holding * STEPS;
        if (held->holding <= MANY) {
            const uint32_t seen = new_mark();
            reached = 0;
            for (int64_t at = 0; at < held->holding; at++)
                for (int by = -HERE; by <= HERE; by++) {
                    const int64_t row = step(messages, held->rows[at], by);
                    if (row < 0 || scratch.mark[row] == seen) continue;
                    scratch.mark[row] = seen;
                    reached++;
                }
        }
        rare[term] = rarity(messages->rows, reached < messages->rows ? reached : messages->rows);
    }
}

/* The product of a stored vector and the one that is looked for. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx2", "default")))
#endif
static float product(const uint8_t *codes, const float *vector, int64_t dim) {
    float sums[LANES] = {0}, sum = 0;
    int64_t at = 0;
    for (; at + LANES <= dim; at += LANES)
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] += (float)(codes[at + lane] - ADDED) * vector[at + lane];
    for (; at < dim; at++) sum += (float)(codes[at] - ADDED) * vector[at];
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    return sum / SCALE;
}

static const uint8_t *codes_of(const Messages *messages, int64_t row) {
    const int64_t place = row >= 0 && row < messages->placed ? messages->place[row] : -1;
    if (place < 0 || place >= messages->vectors) return NULL;
    return messages->codes + place * messages->dim;
}

/* How near the candidates and the two before each are to what is looked for, by their numbers; NAN
   for those without a vector. What comes soon is fetched meanwhile: they lie far apart. */
static void compare(const Messages *messages, const Question *question, const int64_t *rows,
                    int64_t count, float *cosines) {
    static const uint8_t *wanted[MOST_ROWS * (HERE + 1)];
    static uint32_t numbers[MOST_ROWS * (HERE + 1)];
    int64_t all = 0;
    for (int64_t at = 0; at < count; at++)
        for (int by = -HERE; by <= 0; by++) {
            const int64_t row = step(messages, rows[at], by);
            const uint8_t *codes = codes_of(messages, row);
            if (!codes || !isnan(cosines[scratch.number[row]])) continue;
            cosines[scratch.number[row]] = 0; /* so that it is wanted once */
            numbers[all] = scratch.number[row];
            wanted[all++] = codes;
        }
    for (int64_t at = 0; at < all; at++) {
        if (at + AHEAD < all)
            for (int64_t byte = 0; byte < messages->dim; byte += CACHE_LINE)
                __builtin_prefetch(wanted[at + AHEAD] + byte);
        cosines[numbers[at]] = product(wanted[at], question->vector, messages->dim);
    }
}

/* The length of a message's vector together with a share of those of the two before it. */
static float length_of(const Messages *messages, int64_t row) {
    const uint8_t *codes[] = {codes_of(messages, row), codes_of(messages, step(messages, row, -1)),
                              codes_of(messages, step(messages, row, -2))};
    float squares = 0;
    for (int64_t at = 0; at < messages->dim; at++) {
        float together = 0;
        for (int one = 0; one < 3; one++)
            if (codes[one]) together += (one ? BEFORE : 1.0f) * (codes[one][at] - ADDED) / SCALE;
        squares += together * together;
    }
    return sqrtf(squares);
}

/* Divide by the greatest. */
static void to_top(float *parts, int64_t count, int64_t width) {
    float top = LEAST;
    for (int64_t at = 0; at < count; at++) top = greater(top, parts[at * width]);
    for (int64_t at = 0; at < count; at++) parts[at * width] /= top;
}

/* Bring between 0 and 1. */
static void between(float *parts, int64_t count, int64_t width) {
    float low = parts[0], high = parts[0];
    for (int64_t at = 1; at < count; at++) {
        low = -greater(-low, -parts[at * width]);
        high = greater(high, parts[at * width]);
    }
    const float range = greater(high - low, LEAST);
    for (int64_t at = 0; at < count; at++) parts[at * width] = (parts[at * width] - low) / range;
}

int measure(const Messages *messages, const Question *question, const int64_t *rows, int64_t count,
            float *parts, int64_t width, const int32_t *columns) {
    const int64_t terms = question->count;
    float rare[MOST_TERMS], weights[MOST_TERMS];
    window_rarities(messages, question, rare);
    for (int64_t term = 0; term < terms; term++)
        weights[term] = rarity(messages->rows, question->terms[term].holding);

    /* Number all rows in sight, so that what is known of them fits into a small block. */
    const int64_t most = count * STEPS;
    float *counts = block_of(most * (terms + 1) + 1), *cosines = counts + most * terms;
    if (!counts) return -1;
    const uint32_t seen = new_mark();
    uint32_t all = 0;
    for (int64_t at = 0; at < count; at++)
        for (int by = -HERE; by <= HERE; by++) {
            const int64_t row = step(messages, rows[at], by);
            if (row < 0 || scratch.mark[row] == seen) continue;
            scratch.mark[row] = seen;
            cosines[all] = NAN;
            scratch.number[row] = all++;
        }
    if (question->vector) compare(messages, question, rows, count, cosines);
    memset(counts, 0, all * terms * sizeof *counts);
    for (int64_t term = 0; term < terms; term++) {
        const Term *held = &question->terms[term];
        for (int64_t at = 0; at < held->holding; at++)
            if (scratch.mark[held->rows[at]] == seen)
                counts[scratch.number[held->rows[at]] * terms + term] = held->counts[at];
    }

    float low = 1, high = -1;
    for (int64_t at = 0; at < count; at++) {
        const float cosine = cosines[scratch.number[rows[at]]];
        const float known = isnan(cosine) ? 0 : cosine;
        low = -greater(-low, -known);
        high = greater(high, known);
    }
    const float range = greater(high - low, LEAST);

    for (int64_t at = 0; at < count; at++) {
        const int64_t row = rows[at];
        float *own = parts + at * width, together[MOST_TERMS] = {0}, before = 0;
        for (int by = -HERE; by <= HERE; by++) {
            const int64_t near = step(messages, row, by);
            if (near < 0) continue;
            const uint32_t number = scratch.number[near];
            for (int64_t term = 0; term < terms; term++)
                together[term] += counts[number * terms + term];
            if (by < 0 && !isnan(cosines[number])) before += cosines[number];
        }
        const uint32_t number = scratch.number[row];
        float words = 0, around = 0;
        for (int64_t term = 0; term < terms; term++) {
            words += by_words(weights[term], counts[number * terms + term]);
            around += by_words(rare[term], together[term]);
        }
        own[columns[WORDS]] = words;
        own[columns[WORDS_AROUND]] = around;
        for (int form = 0; form < FORMS; form++)
            own[columns[FORM + form]] = messages->form[row * FORMS + form];
        const float times = messages->form[row * FORMS + FORM_TIMES];
        own[columns[WHEN_TIMES]] = question->asks_when ? times : 0;
        if (!question->vector) continue;
        if (isnan(messages->lengths[row])) messages->lengths[row] = length_of(messages, row);
        const int known = !isnan(cosines[number]);
        const float cosine = known ? cosines[number] : 0;
        own[columns[COSINE]] = cosine;
        own[columns[MEANING]] = known ? (cosine - low) / range : 0;
        own[columns[MEANING_AROUND]] =
            (cosine + BEFORE * before) / greater(messages->lengths[row], LEAST);
    }
    to_top(parts + columns[WORDS], count, width);
    to_top(parts + columns[WORDS_AROUND], count, width);
    if (question->vector) between(parts + columns[MEANING_AROUND], count, width);
    return 0;
}
