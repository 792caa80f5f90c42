/*
 * cbor_reader: a bounded reader of CBOR heads and strings (RFC 8949 3).
 *
 * The only code that reads input bytes. Invariant: position <= length. Only cbor_take() moves the
 * cursor, after a comparison by subtraction. The first error sticks: after it every function
 * returns false and changes nothing, so callers need not check each result.
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

enum { CBOR_INFO_NULL = 22, CBOR_INFO_UNDEFINED = 23, CBOR_INFO_INDEFINITE = 31, CBOR_BREAK = 0xFF };

typedef struct {
    const uint8_t *bytes;
    size_t length;
    size_t position;
    nitro_status status;
    nitro_error error; /* cbor_enter() sets field and index in advance */
} cbor_reader;

typedef struct {
    uint64_t argument; /* RFC 8949 3: value, length, count or tag; 0 if indefinite */
    size_t offset;     /* of the head's first byte */
    uint8_t major;
    uint8_t info; /* additional information, 0-27 or 31 */
} cbor_head;

/*@ predicate input_readable(cbor_reader *r) =
        r->length <= UINT32_MAX && \valid_read(r->bytes + (0 .. r->length - 1));

    predicate reader_bounded(cbor_reader *r) =
        r->position <= r->length && error_inside(r->error, r->length);

    predicate reader_valid(cbor_reader *r) =
        reader_bounded(r) && (r->status == NITRO_OK ==> input_readable(r));

    predicate reads_on{Before, After}(cbor_reader *r) =
        \at(r->bytes, After) == \at(r->bytes, Before) &&
        \at(r->length, After) == \at(r->length, Before) &&
        \at(r->position, After) >= \at(r->position, Before) &&
        (\at(r->status, Before) != NITRO_OK ==> \at(*r, After) == \at(*r, Before));
*/

/*@ assigns \nothing;
    ensures \result.bytes == bytes && \result.length == length && \result.position == 0;
    ensures \result.status == NITRO_OK && error_inside(\result.error, length);
*/
static inline cbor_reader cbor_reader_over(const uint8_t *bytes, size_t length)
{
    cbor_reader r = {.bytes = bytes, .length = length, .status = NITRO_OK};
    return r;
}

/* Records the field about to be read, for error reporting. Ignored after an error. */
/*@ requires \valid(r) && reader_bounded(r) && field <= NITRO_FIELD_LAST;
    requires index < NITRO_MAX_PCRS || index == NITRO_NO_INDEX;
    assigns  r->error.field, r->error.index;
    ensures  reader_bounded(r) && reads_on{Pre, Post}(r);
*/
static inline void cbor_enter(cbor_reader *r, nitro_field field, uint32_t index)
{
    if (r->status == NITRO_OK) {
        r->error.field = (uint32_t)field;
        r->error.index = index;
    }
}

/* Records an error, unless there is one already. Always returns false, for callers to return. */
/*@ requires \valid(r) && reader_bounded(r) && status != NITRO_OK;
    requires r->status == NITRO_OK ==> offset <= r->length && offset <= UINT32_MAX;
    assigns  r->status, r->error.offset, r->error.found;
    ensures  !\result && r->status != NITRO_OK && reader_bounded(r) && reads_on{Pre, Post}(r);
    ensures  \old(r->status) == NITRO_OK ==> r->status == status && r->error.offset == offset;
*/
static inline bool cbor_fail(cbor_reader *r, nitro_status status, size_t offset, uint64_t found)
{
    if (r->status == NITRO_OK) {
        r->status = status;
        r->error.offset = (uint32_t)offset;
        r->error.found = found;
    }
    return false;
}

/* Records an error, as cbor_fail() does, with the string at fault, which was read completely. */
/*@ requires \valid(r) && reader_bounded(r) && status != NITRO_OK;
    requires r->status == NITRO_OK ==> offset <= r->length && offset <= UINT32_MAX;
    requires span_inside_or_absent(text, r->length);
    assigns  r->status, r->error.offset, r->error.found, r->error.text;
    ensures  !\result && r->status != NITRO_OK && reader_bounded(r) && reads_on{Pre, Post}(r);
*/
static inline bool cbor_fail_text(cbor_reader *r, nitro_status status, size_t offset,
                                  nitro_span text)
{
    if (r->status == NITRO_OK) {
        r->error.text = text;
    }
    return cbor_fail(r, status, offset, text.length);
}

/* Moves past count bytes and returns their position in *start. The only bounds check. */
/*@ requires \valid(r) && reader_valid(r) && \valid(start) && \separated(r, start);
    assigns  *r, *start;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result <==> \old(r->status) == NITRO_OK && count <= r->length - \old(r->position);
    ensures  \result ==> *start == \old(r->position) && r->position == *start + count;
*/
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

/* Reads the next byte without moving. Returns false, without an error, at the end of the input. */
/*@ requires \valid_read(r) && reader_valid(r) && \valid(byte);
    assigns  *byte;
    ensures  \result <==> r->status == NITRO_OK && r->position < r->length;
*/
static inline bool cbor_peek(const cbor_reader *r, uint8_t *byte)
{
    if (r->status != NITRO_OK || r->position == r->length) {
        return false;
    }
    *byte = r->bytes[r->position];
    return true;
}

/* Moves past the next byte if it has the given value. */
/*@ requires \valid(r) && reader_valid(r);
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
    ensures  r->status == \old(r->status);
    ensures  \result ==> r->status == NITRO_OK && r->position == \old(r->position) + 1;
    ensures  !\result ==> r->position == \old(r->position);
*/
static inline bool cbor_take_if(cbor_reader *r, uint8_t byte)
{
    uint8_t next;
    size_t start;
    if (!cbor_peek(r, &next) || next != byte) {
        return false;
    }
    return cbor_take(r, 1, &start);
}

/*@ logic integer power256(integer n) = n <= 0 ? 1 : 256 * power256(n - 1);
*/

/* Reads a big-endian integer of 1, 2, 4 or 8 bytes. */
/*@ requires \valid(r) && reader_valid(r) && \valid(value) && \separated(r, value);
    requires size == 1 || size == 2 || size == 4 || size == 8;
    assigns  *r, *value;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> r->position == \old(r->position) + size && *value < power256(size);
*/
static inline bool cbor_read_integer(cbor_reader *r, size_t size, uint64_t *value)
{
    size_t start;
    if (!cbor_take(r, size, &start)) {
        return false;
    }
    *value = 0;
    /*@ loop invariant i <= size && *value < power256(i);
        loop assigns i, *value;
        loop variant size - i;
    */
    for (size_t i = 0; i < size; i++) {
        *value = *value * 256 + r->bytes[start + i];
    }
    return true;
}

/*@ predicate head_valid(cbor_head *head) =
        head->major <= 7 && (head->info <= 27 || head->info == CBOR_INFO_INDEFINITE);
    logic integer head_size(cbor_head *head) =
        head->info == 24 ? 2 : head->info == 25 ? 3 : head->info == 26 ? 5 : head->info == 27 ? 9 : 1;
*/

/* Returns the size of the argument that follows additional information 24 to 27, in bytes. */
/*@ requires 24 <= info <= 27;
    assigns \nothing;
    ensures \result == (info == 24 ? 1 : info == 25 ? 2 : info == 26 ? 4 : 8);
*/
static inline size_t cbor_argument_size(uint8_t info)
{
    return info == 24 ? 1 : info == 25 ? 2 : info == 26 ? 4 : 8;
}

/* Returns the least argument that needs 1, 2, 4 or 8 further bytes (RFC 8949 4.2.1). */
/*@ requires size == 1 || size == 2 || size == 4 || size == 8;
    assigns \nothing;
*/
static inline uint64_t cbor_least_argument(size_t size)
{
    return size == 1 ? 24 : size == 2 ? 0x100 : size == 4 ? 0x10000 : 0x100000000;
}

/* Reads the head of an item; rejects all but its shortest form (C-11, P-3). */
/*@ requires \valid(r) && reader_valid(r) && \valid(head) && \separated(r, head);
    assigns  *r, *head;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> head_valid(head) && head->offset == \old(r->position);
    ensures  \result ==> r->position == head->offset + head_size(head);
*/
static inline bool cbor_read_head(cbor_reader *r, cbor_head *head)
{
    size_t start;
    if (!cbor_take(r, 1, &start)) {
        return false;
    }
    head->offset = start;
    head->major = r->bytes[start] / 32;
    head->info = r->bytes[start] % 32;
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
    const size_t size = cbor_argument_size(head->info);
    if (!cbor_read_integer(r, size, &head->argument)) {
        return false;
    }
    /* Minimality does not apply to major type 7: a float's width is part of its type. */
    if (head->major != CBOR_SIMPLE && head->argument < cbor_least_argument(size)) {
        return cbor_fail(r, NITRO_ERR_NOT_MINIMAL, start, head->argument);
    }
    return true;
}

/*@ requires \valid_read(head);
    assigns \nothing;
    ensures \result <==> head->major == CBOR_SIMPLE && head->info == CBOR_INFO_INDEFINITE;
*/
static inline bool cbor_is_break(const cbor_head *head)
{
    return head->major == CBOR_SIMPLE && head->info == CBOR_INFO_INDEFINITE;
}

/* Returns whether a map or array has another entry; moves past the break of an indefinite one. */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(head) && \separated(r, head);
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && r->status == \old(r->status);
    ensures  \result ==> r->position == \old(r->position);
    ensures  head->info != CBOR_INFO_INDEFINITE ==> (\result <==> done < head->argument);
    ensures  !\result ==> r->position <= \old(r->position) + 1;
*/
static inline bool cbor_has_more(cbor_reader *r, const cbor_head *head, uint64_t done)
{
    if (head->info == CBOR_INFO_INDEFINITE) {
        return !cbor_take_if(r, CBOR_BREAK);
    }
    return done < head->argument;
}

/* Checks that an item is definite and of one major type; mismatch is the status for other types. */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(head) && \separated(r, head);
    requires r->status == NITRO_OK && head->offset <= r->length && mismatch != NITRO_OK;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  r->position == \old(r->position);
    ensures  \result ==> head->major == major && head->info != CBOR_INFO_INDEFINITE;
*/
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

/*@ predicate content_taken{Before, After}(cbor_reader *r, nitro_span *content) =
        \at(content->offset, After) == \at(r->position, Before) &&
        \at(r->position == content->offset + content->length && span_inside(*content, r->length),
            After);
*/

/* Moves past the content of a definite string whose head was just read. */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(head) && \valid(content);
    requires \separated(r, head, content);
    assigns  *r, *content;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> content_taken{Pre, Post}(r, content) && content->length == head->argument;
*/
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

/* Returns the size of a UTF-8 sequence from its first byte; 0 if none starts so (RFC 3629 4). */
/*@ assigns \nothing;
    ensures \result <= 4;
    ensures lead < 0x80 ==> \result == 1;
*/
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

/* Rejects a second byte that makes a sequence overlong, a surrogate or greater than U+10FFFF. */
/*@ assigns \nothing; */
static inline bool utf8_second_fits(uint8_t lead, uint8_t second)
{
    const uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    return least <= second && second <= most;
}

/* Returns the size of the well-formed UTF-8 sequence at the start of text; 0 if there is none. */
/*@ requires length >= 1 && \valid_read(text + (0 .. length - 1));
    assigns \nothing;
    ensures \result <= length;
*/
static inline size_t utf8_sequence(const uint8_t *text, size_t length)
{
    const size_t size = utf8_size(text[0]);
    if (size == 0 || size > length) {
        return 0;
    }
    if (size > 1 && !utf8_second_fits(text[0], text[1])) {
        return 0;
    }
    /*@ loop invariant 2 <= i && (i <= size || size < 2);
        loop assigns i;
        loop variant size - i;
    */
    for (size_t i = 2; i < size; i++) {
        if ((text[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/* Moves past the content of a definite text string and checks that it is UTF-8 (P-5). */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(head) && \valid(content);
    requires \separated(r, head, content);
    assigns  *r, *content;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> content_taken{Pre, Post}(r, content) && content->length == head->argument;
*/
static inline bool cbor_take_text(cbor_reader *r, const cbor_head *head, nitro_span *content)
{
    if (!cbor_take_content(r, head, content)) {
        return false;
    }
    size_t done = 0;
    /*@ loop invariant done <= content->length;
        loop assigns done;
        loop variant content->length - done;
    */
    while (done < content->length) {
        const size_t size = utf8_sequence(r->bytes + content->offset + done, content->length - done);
        if (size == 0) {
            return cbor_fail(r, NITRO_ERR_UTF8, content->offset + done, 0);
        }
        done += size;
    }
    return true;
}

/* Checks that the input ends here (C-12, P-4). */
/*@ requires \valid(r) && reader_bounded(r) && (r->status == NITRO_OK ==> r->length <= UINT32_MAX);
    assigns  r->status, r->error.offset, r->error.found;
    ensures  reader_bounded(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> r->position == r->length;
*/
static inline bool cbor_expect_end(cbor_reader *r)
{
    if (r->position != r->length) {
        return cbor_fail(r, NITRO_ERR_TRAILING, r->position, r->length - r->position);
    }
    return r->status == NITRO_OK;
}

#endif
