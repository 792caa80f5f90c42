/*
 * What was accepted is written once more from what the core reported of it, and compared with the
 * input as it goes: whatever the input says, the result says too. Shared by both targets.
 */
#ifndef NITRO_REWRITE_H
#define NITRO_REWRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nitro_cose.h"

enum {
    MAJOR_UINT = 0,
    MAJOR_BYTES = 2,
    MAJOR_TEXT = 3,
    MAJOR_ARRAY = 4,
    MAJOR_MAP = 5,
    MAJOR_TAG = 6,
    MAJOR_SIMPLE = 7
};

/* The input, and how much of it has been written again. */
typedef struct {
    const uint8_t *bytes;
    size_t size;
    size_t at;
} rewriter;

static inline void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

/* Writes these bytes if the input goes on with them. */
static inline bool follows(rewriter *w, const void *bytes, size_t size)
{
    const bool equal = w->size - w->at >= size && memcmp(w->bytes + w->at, bytes, size) == 0;
    w->at += equal ? size : 0;
    return equal;
}

/* The same for a head in the shortest form (RFC 8949 section 4.2.1). */
static inline bool head_follows(rewriter *w, unsigned major, uint64_t argument)
{
    uint8_t head[9] = {(uint8_t)(major << 5)};
    size_t size = 0;
    if (argument < 24) {
        head[0] |= (uint8_t)argument;
    } else {
        size = argument <= 0xFF ? 1 : argument <= 0xFFFF ? 2 : argument <= 0xFFFFFFFF ? 4 : 8;
        head[0] |= (uint8_t)(size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27);
    }
    for (size_t i = 0; i < size; i++) {
        head[size - i] = (uint8_t)(argument >> 8 * i);
    }
    return follows(w, head, 1 + size);
}

/* A string that lies in the input where the core said that it does. */
static inline void demand_string(rewriter *w, unsigned major, nitro_span content)
{
    demand(head_follows(w, major, content.length), "the head of a string");
    demand(content.offset == w->at, "a string follows its head");
    w->at += content.length;
    demand(w->at <= w->size, "a string ends inside the input");
}

/* C-13: one byte less of what was accepted is cut short at its end. */
static inline void demand_truncated(nitro_status status, const nitro_error *error, size_t size)
{
    demand(status == NITRO_ERR_TRUNCATED, "one byte less is truncated");
    demand(error->offset == size, "and at its end");
}

/* An input of exactly its size on the heap, so that the sanitizer sees a read past its end. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size);
    demand(copy != NULL, "memory");
    memcpy(copy, data, size);
    return copy;
}

#endif
