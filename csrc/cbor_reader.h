/*
 * cbor_reader: a bounded reader of CBOR heads and strings (RFC 8949 3).
 *
 * The only code that touches input bytes. Invariant: position <= length, kept because cbor_take()
 * alone moves the cursor, and only after it compared by subtraction. The first error sticks: after
 * it every function returns false and changes nothing, so callers may read on in a straight line.
 */
#ifndef NITRO_CBOR_READER_H
#define NITRO_CBOR_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nitro_cose.h"

enum {
    CBOR_UINT = 0,
    CBOR_BYTES = 2,
    CBOR_TEXT = 3,
    CBOR_ARRAY = 4,
    CBOR_MAP = 5,
    CBOR_TAG = 6,
    CBOR_SIMPLE = 7
};

enum { CBOR_INFO_NULL = 22, CBOR_INFO_UNDEFINED = 23, CBOR_INFO_INDEFINITE = 31 };

typedef struct {
    const uint8_t *bytes;
    size_t length;
    size_t position;
    nitro_status status;
    nitro_error error; /* field and index: set by cbor_enter(), for the error to come */
} cbor_reader;

typedef struct {
    uint64_t argument; /* RFC 8949 3: value, length, count or tag; 0 where indefinite */
    size_t offset;     /* of the head's first byte */
    uint8_t major;
    uint8_t info; /* additional information, 0-27 or 31 */
} cbor_head;

static inline cbor_reader cbor_reader_over(const uint8_t *bytes, size_t length)
{
    cbor_reader r = {.bytes = bytes, .length = length, .status = NITRO_OK};
    return r;
}

/* Names what is read next, for the error to come; the name of an error sticks with it. */
static inline void cbor_enter(cbor_reader *r, nitro_field field, uint32_t index)
{
    if (r->status == NITRO_OK) {
        r->error.field = (uint32_t)field;
        r->error.index = index;
    }
}

/* Records the first error; always returns false, so that callers can return it. */
static inline bool cbor_fail(cbor_reader *r, nitro_status status, size_t offset, uint64_t found)
{
    if (r->status == NITRO_OK) {
        r->status = status;
        r->error.offset = (uint32_t)offset;
        r->error.found = found;
    }
    return false;
}

/* As cbor_fail(), for a string that was read whole and can be quoted. */
static inline bool cbor_fail_text(cbor_reader *r, nitro_status status, size_t offset,
                                  nitro_span text)
{
    if (r->status == NITRO_OK) {
        r->error.text = text;
    }
    return cbor_fail(r, status, offset, text.length);
}

/* Moves over count bytes and gives the position they start at. The only bounds check there is. */
static inline bool cbor_take(cbor_reader *r, uint64_t count, size_t *start)
{
    if (r->status != NITRO_OK) {
        return false;
    }
    if (count > r->length - r->position) {
        return cbor_fail(r, NITRO_ERR_TRUNCATED, r->length, count);
    }
    *start = r->position;
    r->position += (size_t)count;
    return true;
}

/* The next byte without moving; false at the end or after an error, which is no new error. */
static inline bool cbor_peek(const cbor_reader *r, uint8_t *byte)
{
    if (r->status != NITRO_OK || r->position == r->length) {
        return false;
    }
    *byte = r->bytes[r->position];
    return true;
}

/* Moves over the next byte if it is the given one. */
static inline bool cbor_take_if(cbor_reader *r, uint8_t byte)
{
    uint8_t next;
    size_t start;
    if (!cbor_peek(r, &next) || next != byte) {
        return false;
    }
    return cbor_take(r, 1, &start);
}

/* A big-endian integer of 1, 2, 4 or 8 bytes. */
static inline bool cbor_read_integer(cbor_reader *r, size_t size, uint64_t *value)
{
    size_t start;
    if (!cbor_take(r, size, &start)) {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < size; i++) {
        *value = (*value << 8) | r->bytes[start + i];
    }
    return true;
}

/* The least argument that needs 1, 2, 4 or 8 further bytes (RFC 8949 4.2.1). */
static inline uint64_t cbor_least_argument(size_t size)
{
    return size == 1 ? 24 : (uint64_t)1 << (4 * size);
}

/* The head of an item, in its shortest form (C-11, P-3). */
static inline bool cbor_read_head(cbor_reader *r, cbor_head *head)
{
    size_t start;
    if (!cbor_take(r, 1, &start)) {
        return false;
    }
    head->offset = start;
    head->major = r->bytes[start] >> 5;
    head->info = r->bytes[start] & 0x1F;
    head->argument = 0;
    if (head->info < 24) {
        head->argument = head->info;
        return true;
    }
    if (head->info == CBOR_INFO_INDEFINITE && head->major >= CBOR_BYTES && head->major != CBOR_TAG) {
        return true;
    }
    if (head->info > 27) {
        return cbor_fail(r, NITRO_ERR_RESERVED, start, head->info);
    }
    const size_t size = (size_t)1 << (head->info - 24);
    if (!cbor_read_integer(r, size, &head->argument)) {
        return false;
    }
    /* A float's width is its type, not a choice; what is not a float is no value we know either. */
    if (head->major != CBOR_SIMPLE && head->argument < cbor_least_argument(size)) {
        return cbor_fail(r, NITRO_ERR_NOT_MINIMAL, start, head->argument);
    }
    return true;
}

static inline bool cbor_is_break(const cbor_head *head)
{
    return head->major == CBOR_SIMPLE && head->info == CBOR_INFO_INDEFINITE;
}

/* Demands a definite item of one major type; mismatch is the status for any other type. */
static inline bool cbor_require(cbor_reader *r, const cbor_head *head, uint8_t major,
                                nitro_status mismatch)
{
    if (head->major != major) {
        return cbor_fail(r, mismatch, head->offset, head->major);
    }
    if (head->info == CBOR_INFO_INDEFINITE) {
        return cbor_fail(r, NITRO_ERR_INDEFINITE, head->offset, 0);
    }
    return true;
}

/* Moves over the content of a definite string whose head was just read. */
static inline bool cbor_take_content(cbor_reader *r, const cbor_head *head, nitro_span *content)
{
    size_t start;
    if (!cbor_take(r, head->argument, &start)) {
        return false;
    }
    content->offset = (uint32_t)start;
    content->length = (uint32_t)head->argument;
    return true;
}

/* How many bytes a UTF-8 sequence has by its first one; 0 for one that starts none (RFC 3629 4). */
static inline size_t utf8_size(uint8_t lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return 0;
    }
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* Whether the second byte keeps the sequence from being overlong, a surrogate or past U+10FFFF. */
static inline bool utf8_second_fits(uint8_t lead, uint8_t second)
{
    const uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    return least <= second && second <= most;
}

/* Size of the well-formed UTF-8 sequence at the start of text; 0 if there is none. */
static inline size_t utf8_sequence(const uint8_t *text, size_t length)
{
    const size_t size = utf8_size(text[0]);
    if (size == 0 || size > length) {
        return 0;
    }
    if (size > 1 && !utf8_second_fits(text[0], text[1])) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((text[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/* Moves over the content of a definite text string and checks that it is UTF-8 (P-5). */
static inline bool cbor_take_text(cbor_reader *r, const cbor_head *head, nitro_span *content)
{
    if (!cbor_take_content(r, head, content)) {
        return false;
    }
    size_t done = 0;
    while (done < content->length) {
        const size_t size = utf8_sequence(r->bytes + content->offset + done, content->length - done);
        if (size == 0) {
            return cbor_fail(r, NITRO_ERR_UTF8, content->offset + done, 0);
        }
        done += size;
    }
    return true;
}

/* Demands the end of the input (C-12, P-4). */
static inline bool cbor_expect_end(cbor_reader *r)
{
    if (r->position != r->length) {
        return cbor_fail(r, NITRO_ERR_TRAILING, r->position, r->length - r->position);
    }
    return r->status == NITRO_OK;
}

#endif
