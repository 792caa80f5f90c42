/*
 * cbor_skip: moves past one CBOR item of any structure, without recursion (P-7).
 *
 * It accepts what a future field could contain: integers, definite strings (P-3), simple values,
 * arrays and maps, definite or indefinite, at most CBOR_MAX_NESTING of them inside one another. All
 * heads are shortest. Tags and floats are rejected.
 */
#ifndef NITRO_CBOR_SKIP_H
#define NITRO_CBOR_SKIP_H

#include "cbor_reader.h"

enum { CBOR_MAX_NESTING = 4, CBOR_LEAST_LONG_SIMPLE = 32, CBOR_INFO_ONE_BYTE = 24 };

/* An array or map whose end was not reached. */
typedef struct {
    cbor_head head;
    uint64_t items; /* that were read; in a map, keys and values counted apart */
} cbor_container;

/* The open containers, the innermost last. */
typedef struct {
    cbor_container open[CBOR_MAX_NESTING];
    size_t depth;
} cbor_nesting;

/*@ predicate nesting_valid(cbor_nesting *n, integer most) =
        n->depth <= CBOR_MAX_NESTING &&
        (\forall integer i; 0 <= i < n->depth ==> n->open[i].items <= most);

    predicate at_most_one_more{Before, After}(cbor_nesting *n) =
        \at(n->depth, After) <= CBOR_MAX_NESTING &&
        (\forall integer i; 0 <= i < \at(n->depth, After) ==>
            \at(n->open[i].items, After) <=
                (i < \at(n->depth, Before) ? \at(n->open[i].items, Before) + 1 : 0));
*/

/* Moves past the content of a string; checks any other head, if it is not of a container. */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(head) && \separated(r, head);
    requires r->status == NITRO_OK && head->offset <= r->length;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
*/
static inline bool cbor_skip_content(cbor_reader *r, const cbor_head *head)
{
    nitro_span content;
    if (head->major == CBOR_ARRAY || head->major == CBOR_MAP || cbor_is_break(head)) {
        return true;
    }
    if (head->major == CBOR_TAG ||
        (head->major == CBOR_SIMPLE && head->info > CBOR_INFO_ONE_BYTE)) { /* a float */
        return cbor_fail(r, NITRO_ERR_TYPE, head->offset, head->major);
    }
    if (head->info == CBOR_INFO_INDEFINITE) {
        return cbor_fail(r, NITRO_ERR_INDEFINITE, head->offset, 0);
    }
    if (head->major == CBOR_BYTES) {
        return cbor_take_content(r, head, &content);
    }
    if (head->major == CBOR_TEXT) {
        return cbor_take_text(r, head, &content);
    }
    /* RFC 8949 3.3: two bytes encode only the simple values that do not fit in one. */
    if (head->major == CBOR_SIMPLE && head->info == CBOR_INFO_ONE_BYTE &&
        head->argument < CBOR_LEAST_LONG_SIMPLE) {
        return cbor_fail(r, NITRO_ERR_NOT_MINIMAL, head->offset, head->argument);
    }
    return true;
}

/*@ requires \valid_read(head);
    assigns  \nothing;
    ensures  \result == (head->major == CBOR_MAP ? 2 : 1);
*/
static inline uint64_t cbor_items_per_entry(const cbor_head *head)
{
    return head->major == CBOR_MAP ? 2 : 1;
}

/* Returns whether a container is complete without a break. */
/*@ requires \valid_read(c);
    assigns  \nothing;
    ensures  \result <==> c->head.info != CBOR_INFO_INDEFINITE &&
        c->items / (c->head.major == CBOR_MAP ? 2 : 1) >= c->head.argument;
*/
static inline bool cbor_is_full(const cbor_container *c)
{
    return c->head.info != CBOR_INFO_INDEFINITE &&
           c->items / cbor_items_per_entry(&c->head) >= c->head.argument;
}

/* Counts an item that was read completely, and closes each container that it completes. */
/*@ requires \valid(n) && nesting_valid(n, UINT32_MAX);
    assigns  *n;
    ensures  n->depth <= \old(n->depth) && at_most_one_more{Pre, Post}(n);
*/
static inline void cbor_count_item(cbor_nesting *n)
{
    /*@ loop invariant n->depth <= \at(n->depth, LoopEntry);
        loop invariant \forall integer i; 0 <= i < n->depth ==>
            n->open[i].items == \at(n->open[i].items, LoopEntry);
        loop assigns *n;
        loop variant n->depth;
    */
    while (n->depth > 0) {
        cbor_container *innermost = &n->open[n->depth - 1];
        innermost->items++;
        if (!cbor_is_full(innermost)) {
            return;
        }
        n->depth--;
    }
}

/* Opens an array or map; false if it is one level too deep. */
/*@ requires \valid(n) && \valid_read(head) && \separated(n, head) && nesting_valid(n, UINT32_MAX);
    assigns  *n;
    ensures  at_most_one_more{Pre, Post}(n);
    ensures  \result <==> \old(n->depth) < CBOR_MAX_NESTING;
*/
static inline bool cbor_open(cbor_nesting *n, const cbor_head *head)
{
    if (n->depth == CBOR_MAX_NESTING) {
        return false;
    }
    cbor_container *innermost = &n->open[n->depth];
    innermost->head = *head;
    innermost->items = 0;
    if (cbor_is_full(innermost)) { /* empty */
        cbor_count_item(n);
    } else {
        n->depth++;
    }
    return true;
}

/* Closes the innermost container at a break; false unless it follows a complete entry (P-4). */
/*@ requires \valid(n) && nesting_valid(n, UINT32_MAX);
    assigns  *n;
    ensures  at_most_one_more{Pre, Post}(n);
    ensures  \result ==> n->depth < \old(n->depth);
*/
static inline bool cbor_close(cbor_nesting *n)
{
    if (n->depth == 0) {
        return false;
    }
    const cbor_container *innermost = &n->open[n->depth - 1];
    if (innermost->head.info != CBOR_INFO_INDEFINITE ||
        innermost->items % cbor_items_per_entry(&innermost->head) != 0) {
        return false;
    }
    n->depth--;
    cbor_count_item(n);
    return true;
}

/* Opens, closes or fills a container with the item of a head; returns the error if there is one. */
/*@ requires \valid(n) && \valid_read(head) && \separated(n, head) && nesting_valid(n, UINT32_MAX);
    assigns  *n;
    ensures  at_most_one_more{Pre, Post}(n);
*/
static inline nitro_status cbor_nest(cbor_nesting *n, const cbor_head *head)
{
    if (cbor_is_break(head)) {
        return cbor_close(n) ? NITRO_OK : NITRO_ERR_BREAK;
    }
    if (head->major == CBOR_ARRAY || head->major == CBOR_MAP) {
        return cbor_open(n, head) ? NITRO_OK : NITRO_ERR_NESTING;
    }
    cbor_count_item(n);
    return NITRO_OK;
}

/* Moves past one head, with its content if it is a string. */
/*@ requires \valid(r) && reader_valid(r) && \valid(n) && \separated(r, n);
    requires r->status == NITRO_OK && nesting_valid(n, r->position);
    assigns  *r, *n;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> nesting_valid(n, r->position) && r->position > \old(r->position);
*/
static inline bool cbor_skip_head(cbor_reader *r, cbor_nesting *n)
{
    cbor_head head;
    if (!cbor_read_head(r, &head) || !cbor_skip_content(r, &head)) {
        return false;
    }
    const nitro_status status = cbor_nest(n, &head);
    /*@ assert reader_valid(r) && r->status == NITRO_OK && head.offset < r->position; */
    if (status != NITRO_OK) {
        return cbor_fail(r, status, head.offset, 0);
    }
    return true;
}

/* Moves past one item, whatever it contains. */
/*@ requires \valid(r) && reader_valid(r) && r->status == NITRO_OK;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> r->position > \old(r->position);
*/
static inline bool cbor_skip(cbor_reader *r)
{
    cbor_nesting nesting;
    nesting.depth = 0;
    if (!cbor_skip_head(r, &nesting)) {
        return false;
    }
    /*@ loop invariant reader_valid(r) && reads_on{LoopEntry, Here}(r) && r->status == NITRO_OK;
        loop invariant nesting_valid(&nesting, r->position);
        loop assigns *r, nesting;
        loop variant r->length - r->position;
    */
    while (nesting.depth > 0) {
        if (!cbor_skip_head(r, &nesting)) {
            return false;
        }
    }
    return true;
}

#endif
