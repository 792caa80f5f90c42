/*
 * A notation for CBOR samples, in which a test case reads like its bytes:
 *
 *     "6A 'public_key' ^59 0401 *1025"
 *
 * Hex digits are bytes, 'text' is itself, *N is N bytes 'A'. ^ writes nothing: it marks the
 * expected offset of an error. [ and ] mark the expected text of an error.
 */
#ifndef NITRO_NOTATION_H
#define NITRO_NOTATION_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nitro_cose.h"

enum { SAMPLE_CAPACITY = 32768, NO_MARK = -1 };

typedef struct {
    uint8_t bytes[SAMPLE_CAPACITY];
    size_t size;
    long mark; /* the position of ^ */
    nitro_span text;
} sample;

static inline void sample_put(sample *s, uint8_t byte)
{
    if (s->size == SAMPLE_CAPACITY) {
        fprintf(stderr, "a sample is larger than SAMPLE_CAPACITY\n");
        exit(2);
    }
    s->bytes[s->size++] = byte;
}

static inline const char *sample_put_text(sample *s, const char *at)
{
    for (at++; *at != '\''; at++) {
        sample_put(s, (uint8_t)*at);
    }
    return at + 1;
}

static inline const char *sample_put_filler(sample *s, const char *at)
{
    char *end;
    for (unsigned long n = strtoul(at + 1, &end, 10); n > 0; n--) {
        sample_put(s, 'A');
    }
    return end;
}

static inline const char *sample_put_hex(sample *s, const char *at)
{
    const char digits[3] = {at[0], at[1], 0};
    char *end;
    const unsigned long byte = strtoul(digits, &end, 16);
    if (end != digits + 2) {
        fprintf(stderr, "not the notation of notation.h: %s\n", at);
        exit(2);
    }
    sample_put(s, (uint8_t)byte);
    return at + 2;
}

/* Appends the bytes that the notation describes. */
static inline void sample_write(sample *s, const char *at)
{
    while (*at != 0) {
        switch (*at) {
        case ' ': at++; break;
        case '\'': at = sample_put_text(s, at); break;
        case '*': at = sample_put_filler(s, at); break;
        case '^': s->mark = (long)s->size; at++; break;
        case '[': s->text.offset = (uint32_t)s->size; at++; break;
        case ']': s->text.length = (uint32_t)s->size - s->text.offset; at++; break;
        default: at = sample_put_hex(s, at); break;
        }
    }
}

static inline void sample_clear(sample *s)
{
    s->size = 0;
    s->mark = NO_MARK;
    s->text = (nitro_span){0, 0};
}

/* Returns a heap copy of exactly the given bytes: sanitizers detect a read of one byte too many. */
static inline uint8_t *exact_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    memcpy(copy, bytes, size);
    return copy;
}

#endif
