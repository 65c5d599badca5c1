/* What a search writes on while it runs; kept from one to the next, so that none has to ask for
   memory. One thread at a time. */

#ifndef ONIONSKIN_SCRATCH_H
#define ONIONSKIN_SCRATCH_H

#include <stdint.h>

/* A row bears a mark if `mark[row]` is that mark, so that none need be wiped off. */
struct scratch {
    uint32_t *mark, *number;
    double *score;
    int64_t rows;
    uint32_t in_use;
    float *block;
    int64_t block_size;
};
extern struct scratch scratch;

/* Room for so many rows; -1 where there is none. */
int make_room(int64_t rows);

/* A mark that no row bears. */
uint32_t new_mark(void);

/* A block of so many numbers, of any value; NULL where there is no memory. */
float *block_of(int64_t size);

#endif
