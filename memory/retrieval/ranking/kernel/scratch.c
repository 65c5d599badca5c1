#include "scratch.h"

#include <stdlib.h>
#include <string.h>

struct scratch scratch;

/* Twice as much as is needed, where there is too little; 0 if that fails. */
static int grow(void *block, int64_t wanted, size_t size) {
    void **held = block, *made = realloc(*held, wanted * size);
    if (made) *held = made;
    return made != NULL;
}

int make_room(int64_t rows) {
    if (rows <= scratch.rows) return 0;
    const int64_t wanted = rows * 2 + 1024;
    if (!grow(&scratch.mark, wanted, sizeof *scratch.mark) ||
        !grow(&scratch.number, wanted, sizeof *scratch.number) ||
        !grow(&scratch.score, wanted, sizeof *scratch.score))
        return -1;
    memset(scratch.mark + scratch.rows, 0, (wanted - scratch.rows) * sizeof *scratch.mark);
    scratch.rows = wanted;
    return 0;
}

uint32_t new_mark(void) {
    if (++scratch.in_use == 0) { /* after four thousand million */
        memset(scratch.mark, 0, scratch.rows * sizeof *scratch.mark);
        scratch.in_use = 1;
    }
    return scratch.in_use;
}

float *block_of(int64_t size) {
    if (size > scratch.block_size) {
        if (!grow(&scratch.block, size * 2, sizeof *scratch.block)) return NULL;
        scratch.block_size = size * 2;
    }
    return scratch.block;
}
