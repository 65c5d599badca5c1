#include "scratch.h"

#include <stdlib.h>
#include <string.h>

struct scratch scratch;

/* Resize the array that `array` points to; returns 0 if memory is short, and keeps the old one. */
static int resize(void *array, int64_t count, size_t item_size) {
    void **pointer = array, *resized = realloc(*pointer, count * item_size);
    if (resized) *pointer = resized;
    return resized != NULL;
}

int reserve_rows(int64_t rows) {
    if (rows <= scratch.rows) return 0;
    const int64_t capacity = rows * 2 + 1024;
    if (!resize(&scratch.mark, capacity, sizeof *scratch.mark) ||
        !resize(&scratch.number, capacity, sizeof *scratch.number) ||
        !resize(&scratch.score, capacity, sizeof *scratch.score))
        return -1;
    memset(scratch.mark + scratch.rows, 0, (capacity - scratch.rows) * sizeof *scratch.mark);
    scratch.rows = capacity;
    return 0;
}

uint32_t new_mark(void) {
    if (++scratch.current_mark == 0) { /* overflow, after 2^32 marks */
        memset(scratch.mark, 0, scratch.rows * sizeof *scratch.mark);
        scratch.current_mark = 1;
    }
    return scratch.current_mark;
}

float *reserve_block(int64_t size) {
    if (size > scratch.block_size) {
        if (!resize(&scratch.block, size * 2, sizeof *scratch.block)) return NULL;
        scratch.block_size = size * 2;
    }
    return scratch.block;
}
