#include "ranking.h"
#include "scratch.h"

typedef struct {
    double score;
    int64_t row;
} Scored;

static int is_worse(Scored one, Scored other) {
    return one.score < other.score || (one.score == other.score && one.row > other.row);
}

static int best_first(const void *one, const void *other) {
    Scored a = *(const Scored *)one, b = *(const Scored *)other;
    return is_worse(a, b) - is_worse(b, a);
}

/* Let the worst of a heap sink to where it belongs. */
static void sink(Scored *heap, int64_t size, int64_t at) {
    for (;;) {
        int64_t worst = at;
        for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < size; child++)
            if (is_worse(heap[child], heap[worst])) worst = child;
        if (worst == at) return;
        Scored moved = heap[at];
        heap[at] = heap[worst];
        heap[worst] = moved;
        at = worst;
    }
}

/* The SEEDS rows with the best scores by words, best first; rows marked `dead` are passed over. */
static int64_t best_by_words(const Messages *messages, const Question *question, Scored *best) {
    const uint32_t dead = scratch.in_use, seen = new_mark();
    int64_t size = 0;
    for (int64_t term = 0; term < question->count; term++) {
        const Term *held = &question->terms[term];
        const float weight = rarity(messages->rows, held->holding);
        for (int64_t at = 0; at < held->holding; at++) {
            const uint32_t row = held->rows[at];
            if (scratch.mark[row] == dead) continue;
            if (scratch.mark[row] != seen) scratch.mark[row] = seen, scratch.score[row] = 0;
            scratch.score[row] += by_words(weight, held->counts[at]);
        }
    }
    for (int64_t term = 0; term < question->count; term++) {
        const Term *held = &question->terms[term];
        for (int64_t at = 0; at < held->holding; at++) {
            const uint32_t row = held->rows[at];
            if (scratch.mark[row] != seen) continue; /* dead, or taken with an earlier term */
            scratch.mark[row] = 0;
            const Scored scored = {scratch.score[row], row};
            if (size < SEEDS) {
                best[size++] = scored;
                if (size == SEEDS)
                    for (int64_t root = size / 2; root-- > 0;) sink(best, size, root);
            } else if (is_worse(best[0], scored)) {
                best[0] = scored;
                sink(best, size, 0);
            }
        }
    }
    qsort(best, size, sizeof *best, best_first);
    return size;
}

static int is_row(const Messages *messages, int64_t row) { return row >= 0 && row < messages->rows; }

static void mark_dead(const Messages *messages) {
    const uint32_t dead = new_mark();
    for (int64_t at = 0; at < messages->deads; at++)
        if (is_row(messages, messages->dead[at])) scratch.mark[messages->dead[at]] = dead;
}

static int ascending(const void *one, const void *other) {
    const int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

int64_t find_candidates(const Messages *messages, const Question *question, int64_t *found) {
    int64_t count = 0;
    if (messages->rows <= EVERY_ROW) {
        for (; count < messages->rows; count++) found[count] = count;
        return count;
    }
    Scored words[SEEDS];
    int64_t seeds[2][SEEDS], sizes[2] = {0, 0};
    mark_dead(messages);
    for (int64_t at = 0; at < question->nears && sizes[1] < SEEDS; at++)
        if (is_row(messages, question->near[at]) &&
            scratch.mark[question->near[at]] != scratch.in_use)
            seeds[1][sizes[1]++] = question->near[at];
    sizes[0] = best_by_words(messages, question, words);
    for (int64_t at = 0; at < sizes[0]; at++) seeds[0][at] = words[at].row;

    const uint32_t taken = new_mark();
    for (int kind = 0; kind < 2; kind++)
        for (int64_t at = 0; at < sizes[kind]; at++) {
            const int64_t row = seeds[kind][at];
            const int64_t reached[] = {row, step(messages, row, -1), step(messages, row, 1),
                                       step(messages, row, 2)};
            for (int way = 0; way < (at < WIDENED ? 4 : 1); way++) {
                const int64_t one = reached[way];
                if (one < 0 || scratch.mark[one] == taken) continue;
                scratch.mark[one] = taken;
                found[count++] = one;
            }
        }
    qsort(found, count, sizeof *found, ascending);
    return count;
}
