#include "ranking.h"
#include "scratch.h"

typedef struct {
    double score;
    int64_t row;
} Hit;

static int is_worse(Hit a, Hit b) {
    return a.score < b.score || (a.score == b.score && a.row > b.row);
}

static int compare_hits(const void *left, const void *right) {
    Hit a = *(const Hit *)left, b = *(const Hit *)right;
    return is_worse(a, b) - is_worse(b, a);
}

/* Restore the order of a heap, whose root is its worst hit, below `at`. */
static void sift_down(Hit *heap, int64_t size, int64_t at) {
    for (;;) {
        int64_t worst = at;
        for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < size; child++)
            if (is_worse(heap[child], heap[worst])) worst = child;
        if (worst == at) return;
        Hit hit = heap[at];
        heap[at] = heap[worst];
        heap[worst] = hit;
        at = worst;
    }
}

/* The SEEDS best rows by BM25, best first; rows with the current mark, the deleted ones, are
   skipped. */
static int64_t search_words(const Messages *messages, const Query *query, Hit *best) {
    const uint32_t deleted = scratch.current_mark, scored = new_mark();
    int64_t size = 0;
    for (int64_t term = 0; term < query->term_count; term++) {
        const Postings *postings = &query->terms[term];
        const float weight = idf(messages->rows, postings->row_count);
        for (int64_t at = 0; at < postings->row_count; at++) {
            const uint32_t row = postings->rows[at];
            if (scratch.mark[row] == deleted) continue;
            if (scratch.mark[row] != scored) scratch.mark[row] = scored, scratch.score[row] = 0;
            scratch.score[row] += bm25(weight, postings->counts[at]);
        }
    }
    for (int64_t term = 0; term < query->term_count; term++) {
        const Postings *postings = &query->terms[term];
        for (int64_t at = 0; at < postings->row_count; at++) {
            const uint32_t row = postings->rows[at];
            if (scratch.mark[row] != scored) continue; /* deleted, or seen with an earlier term */
            scratch.mark[row] = 0;
            const Hit hit = {scratch.score[row], row};
            if (size < SEEDS) {
                best[size++] = hit;
                if (size == SEEDS)
                    for (int64_t root = size / 2; root-- > 0;) sift_down(best, size, root);
            } else if (is_worse(best[0], hit)) {
                best[0] = hit;
                sift_down(best, size, 0);
            }
        }
    }
    qsort(best, size, sizeof *best, compare_hits);
    return size;
}

static int is_row(const Messages *messages, int64_t row) { return row >= 0 && row < messages->rows; }

static void mark_deleted(const Messages *messages) {
    const uint32_t deleted = new_mark();
    for (int64_t at = 0; at < messages->deleted_count; at++)
        if (is_row(messages, messages->deleted[at])) scratch.mark[messages->deleted[at]] = deleted;
}

static int compare_rows(const void *left, const void *right) {
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int64_t generate_candidates(const Messages *messages, const Query *query, int64_t *rows) {
    int64_t count = 0;
    if (messages->rows <= EVERY_ROW) {
        for (; count < messages->rows; count++) rows[count] = count;
        return count;
    }
    enum { BY_WORDS, BY_VECTOR, SEARCHES };
    Hit hits[SEEDS];
    int64_t seeds[SEARCHES][SEEDS], sizes[SEARCHES] = {0};
    mark_deleted(messages);
    for (int64_t at = 0; at < query->nearest_count && sizes[BY_VECTOR] < SEEDS; at++)
        if (is_row(messages, query->nearest[at]) &&
            scratch.mark[query->nearest[at]] != scratch.current_mark)
            seeds[BY_VECTOR][sizes[BY_VECTOR]++] = query->nearest[at];
    sizes[BY_WORDS] = search_words(messages, query, hits);
    for (int64_t at = 0; at < sizes[BY_WORDS]; at++) seeds[BY_WORDS][at] = hits[at].row;

    const uint32_t added = new_mark();
    for (int search = 0; search < SEARCHES; search++)
        for (int64_t at = 0; at < sizes[search]; at++) {
            const int64_t seed = seeds[search][at];
            const int64_t group[] = {seed, step(messages, seed, -1), step(messages, seed, 1),
                                     step(messages, seed, 2)};
            for (int member = 0; member < (at < WITH_NEIGHBOURS ? 4 : 1); member++) {
                const int64_t row = group[member];
                if (row < 0 || scratch.mark[row] == added) continue;
                scratch.mark[row] = added;
                rows[count++] = row;
            }
        }
    qsort(rows, count, sizeof *rows, compare_rows);
    return count;
}
