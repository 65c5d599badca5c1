/* Buffers that are reused from one search to the next, so that a search allocates nothing. Not
   thread-safe: the caller holds Python's GIL. */

#ifndef ONIONSKIN_SCRATCH_H
#define ONIONSKIN_SCRATCH_H

#include <stdint.h>

/* A row is marked if `mark[row]` equals the current mark; a new mark unmarks all rows at once. */
struct scratch {
    uint32_t *mark, *number;
    double *score;
    int64_t rows;
    uint32_t current_mark;
    float *block;
    int64_t block_size;
};
extern struct scratch scratch;

/* Make room for this many rows; returns 0, or -1 if memory is short. */
int reserve_rows(int64_t rows);

/* A mark that no row has. */
uint32_t new_mark(void);

/* A block of this many uninitialised numbers; NULL if memory is short. */
float *reserve_block(int64_t size);

#endif
