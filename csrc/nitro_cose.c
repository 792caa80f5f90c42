/*
 * nitro_cose: the COSE_Sign1 envelope and the payload of an attestation document.
 *
 * First the four elements of the envelope in their order, then the fields of the payload. Each part
 * ends with its public function. The contract is in nitro_cose.h.
 */
#include "nitro_cose.h"

#include "cbor_reader.h"
#include "cbor_skip.h"

/*@ requires \valid_read(one + (0 .. length - 1)) && \valid_read(other + (0 .. length - 1));
    assigns  \nothing;
    ensures  \result <==> (\forall integer i; 0 <= i < length ==> one[i] == other[i]);
*/
static bool bytes_equal(const uint8_t *one, const uint8_t *other, size_t length)
{
    /*@ loop invariant i <= length && (\forall integer k; 0 <= k < i ==> one[k] == other[k]);
        loop assigns i;
        loop variant length - i;
    */
    for (size_t i = 0; i < length; i++) {
        if (one[i] != other[i]) {
            return false;
        }
    }
    return true;
}

/* ---- The envelope: [ protected, unprotected, payload, signature ] (RFC 9052 4.2) ------------- */

/*@ requires \valid(r) && reader_bounded(r) && r->status == NITRO_OK;
    assigns  *r;
    ensures  reader_bounded(r) && reads_on{Pre, Post}(r) && r->position == \old(r->position);
    ensures  r->status == NITRO_OK <==> 1 <= r->length <= NITRO_MAX_DOCUMENT;
*/
static void check_size(cbor_reader *r)
{
    cbor_enter(r, NITRO_FIELD_DOCUMENT, NITRO_NO_INDEX);
    if (r->length == 0) {
        cbor_fail(r, NITRO_ERR_EMPTY, 0, 0);
    } else if (r->length > NITRO_MAX_DOCUMENT) {
        cbor_fail(r, NITRO_ERR_TOO_LARGE, 0, r->length);
    }
}

/*@ requires \valid_read(r) && reader_valid(r);
    assigns  \nothing;
    ensures  \result ==> r->status == NITRO_OK && r->position < r->length;
*/
static bool next_is_tag(const cbor_reader *r)
{
    uint8_t byte;
    return cbor_peek(r, &byte) && byte / 32 == CBOR_TAG;
}

/* C-4: no tag, or the single byte D2. The tag is not signed, so any other form is malleable. */
/*@ requires \valid(r) && reader_valid(r);
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
*/
static void read_tag(cbor_reader *r)
{
    (void)cbor_take_if(r, 0xD2);
    if (next_is_tag(r)) {
        cbor_head head;
        if (cbor_read_head(r, &head)) {
            cbor_fail(r, NITRO_ERR_TAG, head.offset, head.argument);
        } else if (r->status == NITRO_ERR_NOT_MINIMAL) {
            r->status = NITRO_ERR_TAG; /* same position and number; the tag is at fault */
        }
    }
}

/* C-5 */
/*@ requires \valid(r) && reader_valid(r);
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
    ensures  r->status == NITRO_OK ==> r->position == \old(r->position) + 1;
*/
static void read_array(cbor_reader *r)
{
    size_t start;
    if (cbor_take(r, 1, &start) && r->bytes[start] != 0x84) {
        cbor_fail(r, NITRO_ERR_ARRAY, start, r->bytes[start]);
    }
}

/*@ predicate content_read{Before, After}(cbor_reader *r, nitro_span content, integer least,
                                          integer most) =
        content_inside(content, least, most, \at(r->length, After)) &&
        content.offset > \at(r->position, Before) &&
        \at(r->position, After) == content.offset + content.length;
*/

/* Reads a byte string of least to most bytes (C-6, C-9, C-10); wrong is the status if it is not. */
/*@ requires \valid(r) && reader_valid(r) && field <= NITRO_FIELD_LAST && wrong != NITRO_OK;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
    ensures  r->status == NITRO_OK ==> content_read{Pre, Post}(r, \result, least, most);
*/
static nitro_span read_element(cbor_reader *r, nitro_field field, nitro_status wrong, uint64_t least,
                               uint64_t most)
{
    cbor_head head;
    nitro_span content = {0, 0};
    cbor_enter(r, field, NITRO_NO_INDEX);
    if (!cbor_read_head(r, &head) || !cbor_require(r, &head, CBOR_BYTES, wrong)) {
        return content;
    }
    if (head.argument < least || head.argument > most) {
        cbor_fail(r, wrong, head.offset, head.argument);
        return content;
    }
    (void)cbor_take_content(r, &head, &content);
    return content;
}

/* C-6, C-7: exactly {1: -35}, that is {alg: ES384} */
/*@ requires \valid(r) && reader_valid(r);
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
    ensures  r->status == NITRO_OK ==> content_read{Pre, Post}(r, \result, 4, 4);
*/
static nitro_span read_protected(cbor_reader *r)
{
    static const uint8_t es384[4] = {0xA1, 0x01, 0x38, 0x22};
    const nitro_span content =
        read_element(r, NITRO_FIELD_PROTECTED, NITRO_ERR_PROTECTED, sizeof es384, sizeof es384);
    if (r->status == NITRO_OK &&
        !bytes_equal(r->bytes + content.offset, es384, sizeof es384)) {
        cbor_fail_text(r, NITRO_ERR_PROTECTED, content.offset - 1, content); /* head: one byte */
    }
    return content;
}

/* C-8: the empty map in one byte. The header is not signed, so it must be empty. */
/*@ requires \valid(r) && reader_valid(r);
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
    ensures  r->status == NITRO_OK ==> r->position == \old(r->position) + 1;
*/
static void read_unprotected(cbor_reader *r)
{
    size_t start;
    cbor_enter(r, NITRO_FIELD_UNPROTECTED, NITRO_NO_INDEX);
    if (cbor_take(r, 1, &start) && r->bytes[start] != 0xA0) {
        cbor_fail(r, NITRO_ERR_UNPROTECTED, start, r->bytes[start]);
    }
}

nitro_status nitro_sign1_parse(const uint8_t *doc, size_t len, nitro_sign1 *out)
{
    if (doc == NULL || out == NULL) {
        return NITRO_ERR_NULL;
    }
    cbor_reader r = cbor_reader_over(doc, len);
    check_size(&r);
    read_tag(&r);
    read_array(&r);
    out->protected_header = read_protected(&r);
    read_unprotected(&r);
    out->payload = read_element(&r, NITRO_FIELD_PAYLOAD, NITRO_ERR_PAYLOAD, 1, NITRO_MAX_PAYLOAD);
    out->signature = read_element(&r, NITRO_FIELD_SIGNATURE, NITRO_ERR_SIGNATURE_LENGTH,
                                  NITRO_SIGNATURE_SIZE, NITRO_SIGNATURE_SIZE);
    cbor_enter(&r, NITRO_FIELD_DOCUMENT, NITRO_NO_INDEX);
    (void)cbor_expect_end(&r);
    out->error = r.error;
    return r.status;
}

/* ---- The payload: one map of known fields ---------------------------------------------------- */

/*
 * Reads the head of a field's value, of one major type. A null in a field that must not be null,
 * and undefined anywhere, have a separate status (P-10).
 */
/*@ requires \valid(r) && reader_valid(r) && \valid(head) && \separated(r, head);
    assigns  *r, *head;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> head->offset == \old(r->position) && head->major == major;
    ensures  \result ==> r->position > head->offset;
*/
static bool read_typed_head(cbor_reader *r, uint8_t major, cbor_head *head)
{
    if (!cbor_read_head(r, head)) {
        return false;
    }
    if (cbor_is_break(head)) {
        return cbor_fail(r, NITRO_ERR_BREAK, head->offset, 0);
    }
    if (head->major == CBOR_SIMPLE &&
        (head->info == CBOR_INFO_NULL || head->info == CBOR_INFO_UNDEFINED)) {
        return cbor_fail(r, NITRO_ERR_NOT_NULLABLE, head->offset, head->info);
    }
    if (head->major != major) {
        return cbor_fail(r, NITRO_ERR_TYPE, head->offset, head->major);
    }
    return true;
}

/* Reads the head of a field's value as read_typed_head() does; definite (P-3). */
/*@ requires \valid(r) && reader_valid(r) && \valid(head) && \separated(r, head);
    assigns  *r, *head;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> head->offset == \old(r->position) && head->major == major;
    ensures  \result ==> r->position > head->offset;
*/
static bool read_value_head(cbor_reader *r, uint8_t major, cbor_head *head)
{
    return read_typed_head(r, major, head) && cbor_require(r, head, major, NITRO_ERR_TYPE);
}

/* Reads a byte string of least to most bytes; wrong_length is the status outside these bounds. */
/*@ requires \valid(r) && reader_valid(r) && \valid(content) && \separated(r, content);
    requires wrong_length != NITRO_OK;
    assigns  *r, *content;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> content_read{Pre, Post}(r, *content, least, most);
*/
static bool read_bytes(cbor_reader *r, uint64_t least, uint64_t most, nitro_status wrong_length,
                       nitro_span *content)
{
    cbor_head head;
    if (!read_value_head(r, CBOR_BYTES, &head)) {
        return false;
    }
    if (head.argument < least || head.argument > most) {
        return cbor_fail(r, wrong_length, head.offset, head.argument);
    }
    return cbor_take_content(r, &head, content);
}

/* P-22 to P-24: null means absent; an empty string does not (P-11). */
/*@ requires \valid(r) && reader_valid(r) && \valid(content) && \separated(r, content);
    requires wrong_length != NITRO_OK && most <= NITRO_MAX_OPTIONAL;
    requires optional_at(content, NITRO_MAX_OPTIONAL, r->length);
    assigns  *r, *content;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> optional_at(content, NITRO_MAX_OPTIONAL, r->length);
    ensures  \result ==> r->position > \old(r->position);
*/
static bool read_optional(cbor_reader *r, uint64_t most, nitro_status wrong_length,
                          nitro_span *content)
{
    return cbor_take_if(r, 0xF6) || read_bytes(r, 0, most, wrong_length, content);
}

/*@ requires \valid_read(text + (0 .. length - 1));
    assigns  \nothing;
    ensures  \result <==> (\forall integer i; 0 <= i < length ==> 0x21 <= text[i] <= 0x7E);
*/
static bool is_visible_ascii(const uint8_t *text, size_t length)
{
    /*@ loop invariant i <= length;
        loop invariant \forall integer k; 0 <= k < i ==> 0x21 <= text[k] <= 0x7E;
        loop assigns i;
        loop variant length - i;
    */
    for (size_t i = 0; i < length; i++) {
        if (text[i] < 0x21 || text[i] > 0x7E) {
            return false;
        }
    }
    return true;
}

/* P-12 */
/*@ requires \valid(r) && reader_valid(r) && \valid(content) && \separated(r, content);
    assigns  *r, *content;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> content_read{Pre, Post}(r, *content, 1, NITRO_MAX_MODULE_ID);
*/
static bool read_module_id(cbor_reader *r, nitro_span *content)
{
    cbor_head head;
    if (!read_value_head(r, CBOR_TEXT, &head)) {
        return false;
    }
    if (head.argument < 1 || head.argument > NITRO_MAX_MODULE_ID) {
        return cbor_fail(r, NITRO_ERR_MODULE_ID, head.offset, head.argument);
    }
    if (!cbor_take_text(r, &head, content)) {
        return false;
    }
    if (!is_visible_ascii(r->bytes + content->offset, content->length)) {
        return cbor_fail_text(r, NITRO_ERR_MODULE_ID, head.offset, *content);
    }
    return true;
}

/* P-13 */
/*@ requires \valid(r) && reader_valid(r) && \valid(content) && \separated(r, content);
    assigns  *r, *content;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> content_read{Pre, Post}(r, *content, 6, 6);
*/
static bool read_digest(cbor_reader *r, nitro_span *content)
{
    static const uint8_t sha384[6] = {'S', 'H', 'A', '3', '8', '4'};
    cbor_head head;
    if (!read_value_head(r, CBOR_TEXT, &head) || !cbor_take_text(r, &head, content)) {
        return false;
    }
    if (content->length != sizeof sha384 ||
        !bytes_equal(r->bytes + content->offset, sha384, sizeof sha384)) {
        return cbor_fail_text(r, NITRO_ERR_DIGEST, head.offset, *content);
    }
    return true;
}

/* P-14 */
/*@ requires \valid(r) && reader_valid(r) && \valid(timestamp) && \separated(r, timestamp);
    assigns  *r, *timestamp;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> 1 <= *timestamp <= NITRO_MAX_TIMESTAMP;
    ensures  \result ==> r->position > \old(r->position);
*/
static bool read_timestamp(cbor_reader *r, uint64_t *timestamp)
{
    cbor_head head;
    if (!read_value_head(r, CBOR_UINT, &head)) {
        return false;
    }
    if (head.argument < 1 || head.argument > NITRO_MAX_TIMESTAMP) {
        return cbor_fail(r, NITRO_ERR_TIMESTAMP, head.offset, head.argument);
    }
    *timestamp = head.argument;
    return true;
}

/* P-16: a key of the map of PCRs */
/*@ requires \valid(r) && reader_valid(r) && \valid(index) && \separated(r, index);
    requires kind <= NITRO_FIELD_LAST;
    assigns  *r, *index;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> *index < NITRO_MAX_PCRS && r->position > \old(r->position);
*/
static bool read_pcr_index(cbor_reader *r, nitro_field kind, uint32_t *index)
{
    cbor_head key;
    cbor_enter(r, kind, NITRO_NO_INDEX);
    if (!cbor_read_head(r, &key)) {
        return false;
    }
    if (cbor_is_break(&key)) {
        return cbor_fail(r, NITRO_ERR_BREAK, key.offset, 0);
    }
    if (key.major != CBOR_UINT || key.argument >= NITRO_MAX_PCRS) {
        return cbor_fail(r, NITRO_ERR_PCR_INDEX, key.offset, key.argument);
    }
    *index = (uint32_t)key.argument;
    return true;
}

/* P-6, P-17: one pair of the map of PCRs */
/*@ requires \valid(r) && reader_valid(r) && \valid(out) && \separated(r, out);
    requires kind <= NITRO_FIELD_LAST && pcrs_inside(out, r->length);
    assigns  *r, out->pcrs[0 .. NITRO_MAX_PCRS - 1];
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> pcrs_inside(out, r->length);
    ensures  \result ==> r->position > \old(r->position);
*/
static bool read_pcr(cbor_reader *r, nitro_field kind, nitro_payload *out)
{
    const size_t start = r->position;
    uint32_t index;
    nitro_span value;
    if (!read_pcr_index(r, kind, &index)) {
        return false;
    }
    cbor_enter(r, kind, index);
    if (out->pcrs[index].offset != 0) {
        return cbor_fail(r, NITRO_ERR_DUPLICATE, start, index);
    }
    if (!read_bytes(r, NITRO_PCR_SIZE, NITRO_PCR_SIZE, NITRO_ERR_PCR_LENGTH, &value)) {
        return false;
    }
    out->pcrs[index] = value;
    return true;
}

/* P-18: without PCR0, PCR1 and PCR2 debug mode could not be detected. */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(out) && \separated(r, out);
    requires r->status == NITRO_OK && offset <= r->length;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  r->position == \old(r->position);
    ensures  \result ==> image_pcrs_present(out);
*/
static bool check_image_pcrs(cbor_reader *r, size_t offset, const nitro_payload *out)
{
    /*@ loop invariant index <= 3;
        loop invariant \forall integer i; 0 <= i < index ==> out->pcrs[i].offset != 0;
        loop assigns index;
        loop variant 3 - index;
    */
    for (uint32_t index = 0; index < 3; index++) {
        if (out->pcrs[index].offset == 0) {
            cbor_enter(r, NITRO_FIELD_PCRS, index);
            return cbor_fail(r, NITRO_ERR_PCRS_MISSING, offset, index);
        }
    }
    return true;
}

/* P-2, P-15: the index of each pair is new, so an indefinite map too has at most 32 pairs. */
/*@ requires \valid(r) && reader_valid(r) && \valid(out) && \separated(r, out);
    requires kind == NITRO_FIELD_PCRS || kind == NITRO_FIELD_NITROTPM_PCRS;
    requires pcrs_inside(out, r->length);
    assigns  *r, out->pcrs[0 .. NITRO_MAX_PCRS - 1], out->kind;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> pcrs_valid(out, r->length);
    ensures  \result ==> r->position > \old(r->position);
*/
static bool read_pcrs(cbor_reader *r, nitro_field kind, nitro_payload *out)
{
    cbor_head map;
    if (!read_typed_head(r, CBOR_MAP, &map)) {
        return false;
    }
    if (map.argument > NITRO_MAX_PCRS) {
        return cbor_fail(r, NITRO_ERR_PCRS_COUNT, map.offset, map.argument);
    }
    uint64_t pairs = 0;
    /*@ loop invariant reader_valid(r) && reads_on{LoopEntry, Here}(r) && r->status == NITRO_OK;
        loop invariant pairs <= r->position && pcrs_inside(out, r->length);
        loop assigns pairs, *r, out->pcrs[0 .. NITRO_MAX_PCRS - 1];
        loop variant r->length - r->position;
    */
    while (cbor_has_more(r, &map, pairs)) {
        if (!read_pcr(r, kind, out)) {
            return false;
        }
        pairs++;
    }
    if (pairs == 0) {
        return cbor_fail(r, NITRO_ERR_PCRS_COUNT, map.offset, 0);
    }
    /*@ assert pcrs_inside(out, r->length); */
    out->kind = kind;
    if (kind == NITRO_FIELD_PCRS && !check_image_pcrs(r, map.offset, out)) {
        return false;
    }
    /*@ assert pcrs_inside(out, r->length); */
    /*@ assert out->kind == kind; */
    /*@ assert kind == NITRO_FIELD_PCRS ==> image_pcrs_present(out); */
    return true;
}

/* P-20 */
/*@ requires \valid(r) && reader_bounded(r) && r->status == NITRO_OK && offset <= r->length;
    requires r->length <= UINT32_MAX;
    assigns  *r;
    ensures  reader_bounded(r) && reads_on{Pre, Post}(r) && !\result && r->status != NITRO_OK;
*/
static bool fail_cabundle(cbor_reader *r, size_t offset, uint64_t count)
{
    cbor_enter(r, NITRO_FIELD_CABUNDLE, NITRO_NO_INDEX);
    return cbor_fail(r, NITRO_ERR_CABUNDLE, offset, count);
}

/* P-2, P-20, P-21 */
/*@ requires \valid(r) && reader_valid(r) && \valid(out) && \separated(r, out);
    assigns  *r, out->cabundle[0 .. NITRO_MAX_CABUNDLE - 1], out->cabundle_count;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> cabundle_valid(out, r->length) && r->position > \old(r->position);
*/
static bool read_cabundle(cbor_reader *r, nitro_payload *out)
{
    cbor_head array;
    if (!read_typed_head(r, CBOR_ARRAY, &array)) {
        return false;
    }
    if (array.argument > NITRO_MAX_CABUNDLE) {
        return fail_cabundle(r, array.offset, array.argument);
    }
    uint32_t count = 0;
    /*@ loop invariant reader_valid(r) && reads_on{LoopEntry, Here}(r) && r->status == NITRO_OK;
        loop invariant count <= NITRO_MAX_CABUNDLE;
        loop invariant certificates_inside(out, count, r->length);
        loop assigns count, *r, out->cabundle[0 .. NITRO_MAX_CABUNDLE - 1];
        loop variant NITRO_MAX_CABUNDLE - count;
    */
    while (cbor_has_more(r, &array, count)) {
        cbor_enter(r, NITRO_FIELD_CABUNDLE, count);
        nitro_span entry;
        if (!read_bytes(r, 1, NITRO_MAX_CERTIFICATE, NITRO_ERR_CABUNDLE_ENTRY, &entry)) {
            return false;
        }
        if (count == NITRO_MAX_CABUNDLE) { /* only an indefinite array has more */
            return fail_cabundle(r, array.offset, NITRO_MAX_CABUNDLE + 1);
        }
        /*@ assert certificates_inside(out, count, r->length); */
        out->cabundle[count].offset = entry.offset;
        out->cabundle[count].length = entry.length;
        /*@ assert certificates_inside(out, count, r->length); */
        /*@ assert certificate_at(&out->cabundle[count], r->length); */
        count++;
    }
    if (count == 0) {
        return fail_cabundle(r, array.offset, 0);
    }
    out->cabundle_count = count;
    return true;
}

enum { FIELDS = NITRO_FIELD_LAST + 1, KEYS = NITRO_FIELD_NONCE - NITRO_FIELD_KEY };

/*@ predicate limits_valid(nitro_limits *limits) =
        limits->public_key <= NITRO_MAX_OPTIONAL && limits->user_data <= NITRO_MAX_OPTIONAL &&
        limits->nonce <= NITRO_MAX_OPTIONAL && limits->unknown_fields <= NITRO_MAX_UNKNOWN;

    predicate field_valid(nitro_payload *out, integer field, integer length) =
        (field == NITRO_FIELD_MODULE_ID ==>
            content_at(&out->module_id, 1, NITRO_MAX_MODULE_ID, length)) &&
        (field == NITRO_FIELD_DIGEST ==> content_at(&out->digest, 6, 6, length)) &&
        (field == NITRO_FIELD_TIMESTAMP ==> 1 <= out->timestamp <= NITRO_MAX_TIMESTAMP) &&
        (field == NITRO_FIELD_PCRS ==> pcrs_valid(out, length)) &&
        (field == NITRO_FIELD_NITROTPM_PCRS ==> pcrs_valid(out, length)) &&
        (field == NITRO_FIELD_CERTIFICATE ==> certificate_at(&out->certificate, length)) &&
        (field == NITRO_FIELD_CABUNDLE ==> cabundle_valid(out, length)) &&
        (field == NITRO_FIELD_PUBLIC_KEY ==>
            optional_at(&out->public_key, NITRO_MAX_OPTIONAL, length)) &&
        (field == NITRO_FIELD_USER_DATA ==>
            optional_at(&out->user_data, NITRO_MAX_OPTIONAL, length)) &&
        (field == NITRO_FIELD_NONCE ==> optional_at(&out->nonce, NITRO_MAX_OPTIONAL, length));
*/

/* Returns the field of a key; NITRO_FIELD_KEY for an unknown key. */
/*@ requires \valid_read(key + (0 .. length - 1));
    assigns  \nothing;
    ensures  NITRO_FIELD_KEY <= \result <= NITRO_FIELD_LAST;
*/
static nitro_field field_of_key(const uint8_t *key, size_t length)
{
    static const struct {
        uint8_t name[14];
        uint8_t length;
        uint8_t field;
    } keys[KEYS] = {
        {"module_id", 9, NITRO_FIELD_MODULE_ID},
        {"digest", 6, NITRO_FIELD_DIGEST},
        {"timestamp", 9, NITRO_FIELD_TIMESTAMP},
        {"pcrs", 4, NITRO_FIELD_PCRS},
        {"nitrotpm_pcrs", 13, NITRO_FIELD_NITROTPM_PCRS},
        {"certificate", 11, NITRO_FIELD_CERTIFICATE},
        {"cabundle", 8, NITRO_FIELD_CABUNDLE},
        {"public_key", 10, NITRO_FIELD_PUBLIC_KEY},
        {"user_data", 9, NITRO_FIELD_USER_DATA},
        {"nonce", 5, NITRO_FIELD_NONCE},
    };
    /*@ loop invariant i <= KEYS;
        loop assigns i;
        loop variant KEYS - i;
    */
    for (size_t i = 0; i < KEYS; i++) {
        if (length == keys[i].length && bytes_equal(key, keys[i].name, length)) {
            return (nitro_field)keys[i].field;
        }
    }
    return NITRO_FIELD_KEY;
}

/*@ assigns \nothing;
    ensures \result <==> field == NITRO_FIELD_PCRS || field == NITRO_FIELD_NITROTPM_PCRS;
*/
static bool is_kind(nitro_field field)
{
    return field == NITRO_FIELD_PCRS || field == NITRO_FIELD_NITROTPM_PCRS;
}

/* A key of the payload: its first byte, its text, and NITRO_FIELD_KEY if it is unknown. */
typedef struct {
    size_t start;
    nitro_span name;
    nitro_field field;
} payload_key;

/* P-5: reads a key; r->status is not NITRO_OK if it is none */
/*@ requires \valid(r) && reader_valid(r) && r->status == NITRO_OK;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
    ensures  r->status == NITRO_OK ==> \result.start <= r->length && r->position > \old(r->position);
    ensures  r->status == NITRO_OK ==>
                 \result.name.offset > 0 && span_inside(\result.name, r->length) &&
                 \result.name.offset <= r->position;
    ensures  r->status == NITRO_OK ==> NITRO_FIELD_KEY <= \result.field <= NITRO_FIELD_LAST;
*/
static payload_key read_key(cbor_reader *r)
{
    payload_key key = {r->position, {0, 0}, NITRO_FIELD_KEY};
    cbor_head head;
    cbor_enter(r, NITRO_FIELD_KEY, NITRO_NO_INDEX);
    if (!cbor_read_head(r, &head)) {
        return key;
    }
    if (cbor_is_break(&head)) {
        cbor_fail(r, NITRO_ERR_BREAK, head.offset, 0);
        return key;
    }
    nitro_span name;
    if (cbor_require(r, &head, CBOR_TEXT, NITRO_ERR_KEY_TYPE) && cbor_take_text(r, &head, &name)) {
        key.name = name;
        key.field = field_of_key(r->bytes + name.offset, name.length);
    }
    return key;
}

/* P-6, P-9: rejects a key that was read before, and a second kind of PCRs */
/*@ requires \valid(r) && reader_valid(r) && r->status == NITRO_OK && key.start <= r->length;
    requires \valid_read(seen + (0 .. FIELDS - 1)) && \separated(r, seen + (0 .. FIELDS - 1));
    requires key.name.offset > 0 && span_inside(key.name, r->length);
    requires NITRO_FIELD_KEY < key.field <= NITRO_FIELD_LAST;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  r->position == \old(r->position);
*/
static bool check_key(cbor_reader *r, payload_key key, const bool seen[FIELDS])
{
    cbor_enter(r, key.field, NITRO_NO_INDEX);
    if (seen[key.field]) {
        return cbor_fail_text(r, NITRO_ERR_DUPLICATE, key.start, key.name);
    }
    if (is_kind(key.field) && (seen[NITRO_FIELD_PCRS] || seen[NITRO_FIELD_NITROTPM_PCRS])) {
        return cbor_fail_text(r, NITRO_ERR_KIND, key.start, key.name);
    }
    return true;
}

/*@ requires \valid(r) && reader_valid(r) && \valid_read(limits) && limits_valid(limits) && \valid(out);
    requires \valid(seen + (0 .. FIELDS - 1)) && NITRO_FIELD_KEY < field <= NITRO_FIELD_LAST;
    requires \separated(r, limits, out, seen + (0 .. FIELDS - 1));
    requires pcrs_inside(out, r->length) && unknown_inside(out, r->length);
    assigns  *r, *out, seen[0 .. FIELDS - 1];
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> field_valid(out, field, r->length) && pcrs_inside(out, r->length);
    ensures  \result ==> unknown_inside(out, r->length);
*/
static bool read_value(cbor_reader *r, nitro_field field, const nitro_limits *limits,
                       nitro_payload *out, bool seen[FIELDS])
{
    bool read = false;
    nitro_span span = {0, 0};
    switch (field) {
    case NITRO_FIELD_MODULE_ID:
        read = read_module_id(r, &span);
        out->module_id = span;
        break;
    case NITRO_FIELD_DIGEST:
        read = read_digest(r, &span);
        out->digest = span;
        break;
    case NITRO_FIELD_TIMESTAMP:
        read = read_timestamp(r, &out->timestamp);
        break;
    case NITRO_FIELD_PCRS:
    case NITRO_FIELD_NITROTPM_PCRS:
        read = read_pcrs(r, field, out);
        break;
    case NITRO_FIELD_CERTIFICATE:
        read = read_bytes(r, 1, NITRO_MAX_CERTIFICATE, NITRO_ERR_CERTIFICATE, &span);
        out->certificate = span;
        break;
    case NITRO_FIELD_CABUNDLE:
        read = read_cabundle(r, out);
        break;
    case NITRO_FIELD_PUBLIC_KEY:
        read = read_optional(r, limits->public_key, NITRO_ERR_PUBLIC_KEY, &span);
        out->public_key = span;
        break;
    case NITRO_FIELD_USER_DATA:
        read = read_optional(r, limits->user_data, NITRO_ERR_USER_DATA, &span);
        out->user_data = span;
        break;
    case NITRO_FIELD_NONCE:
        read = read_optional(r, limits->nonce, NITRO_ERR_NONCE, &span);
        out->nonce = span;
        break;
    case NITRO_FIELD_DOCUMENT:
    case NITRO_FIELD_PROTECTED:
    case NITRO_FIELD_UNPROTECTED:
    case NITRO_FIELD_PAYLOAD:
    case NITRO_FIELD_SIGNATURE:
    case NITRO_FIELD_KEY:
    case NITRO_FIELD_UNKNOWN:
        break;
    }
    if (!read) { /* with an error, which sticks, or not a field of the payload */
        return cbor_fail(r, NITRO_ERR_UNKNOWN_KEY, r->position, 0);
    }
    seen[field] = true;
    return true;
}

/* Returns whether an unknown key of this name was read before (P-6). */
/*@ requires \valid_read(r) && reader_valid(r) && r->status == NITRO_OK;
    requires \valid_read(out) && unknown_inside(out, r->length);
    requires name.offset > 0 && span_inside(name, r->length);
    assigns  \nothing;
*/
static bool is_repeated(const cbor_reader *r, nitro_span name, const nitro_payload *out)
{
    /*@ loop invariant i <= out->unknown_count;
        loop assigns i;
        loop variant out->unknown_count - i;
    */
    for (uint32_t i = 0; i < out->unknown_count; i++) {
        const nitro_span other = out->unknown[i].name;
        if (name.length == other.length &&
            bytes_equal(r->bytes + name.offset, r->bytes + other.offset, name.length)) {
            return true;
        }
    }
    return false;
}

/* P-6, P-7: skips the value of an unknown key, whose name was just read, or rejects the key */
/*@ requires \valid(r) && reader_valid(r) && \valid(out) && \separated(r, out);
    requires r->status == NITRO_OK && key.start <= r->length && most <= NITRO_MAX_UNKNOWN;
    requires key.name.offset > 0 && span_inside(key.name, r->length) &&
             key.name.offset <= r->position;
    requires unknown_inside(out, r->length);
    assigns  *r, out->unknown[0 .. NITRO_MAX_UNKNOWN - 1], out->unknown_count;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> unknown_inside(out, r->length) && r->position > \old(r->position);
*/
static bool read_unknown(cbor_reader *r, payload_key key, uint32_t most, nitro_payload *out)
{
    const uint32_t count = out->unknown_count;
    const size_t value = r->position;
    if (is_repeated(r, key.name, out)) {
        return cbor_fail_text(r, NITRO_ERR_DUPLICATE, key.start, key.name);
    }
    if (count >= most) {
        return cbor_fail_text(r, NITRO_ERR_UNKNOWN_KEY, key.start, key.name);
    }
    cbor_enter(r, NITRO_FIELD_UNKNOWN, count);
    if (!cbor_skip(r)) {
        return false;
    }
    out->unknown[count].name = key.name;
    out->unknown[count].value.offset = (uint32_t)value;
    out->unknown[count].value.length = (uint32_t)(r->position - value);
    out->unknown_count = count + 1;
    return true;
}

/*@ requires \valid(r) && reader_valid(r) && \valid_read(limits) && limits_valid(limits) && \valid(out);
    requires \valid(seen + (0 .. FIELDS - 1));
    requires \separated(r, limits, out, seen + (0 .. FIELDS - 1));
    requires r->status == NITRO_OK && pcrs_inside(out, r->length) && unknown_inside(out, r->length);
    assigns  *r, *out, seen[0 .. FIELDS - 1];
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
    ensures  \result <==> r->status == NITRO_OK;
    ensures  \result ==> r->position > \old(r->position) && pcrs_inside(out, r->length);
    ensures  \result ==> unknown_inside(out, r->length);
*/
static bool read_pair(cbor_reader *r, const nitro_limits *limits, nitro_payload *out,
                      bool seen[FIELDS])
{
    const payload_key key = read_key(r);
    if (r->status != NITRO_OK) {
        return false;
    }
    if (key.field == NITRO_FIELD_KEY) {
        const bool skipped = read_unknown(r, key, limits->unknown_fields, out);
        /*@ assert pcrs_inside(out, r->length); */
        /*@ assert r->length == \at(r->length, Pre); */
        /*@ assert skipped ==> unknown_inside(out, \at(r->length, Pre)); */
        return skipped;
    }
    if (!check_key(r, key, seen)) {
        return false;
    }
    const bool read = read_value(r, key.field, limits, out, seen);
    /*@ assert r->length == \at(r->length, Pre); */
    /*@ assert read ==> pcrs_inside(out, r->length) && unknown_inside(out, \at(r->length, Pre)); */
    return read;
}

/*
 * P-1 to P-8: the pairs of a definite or indefinite map, in any order. No key is read twice, so at
 * most KEYS + NITRO_MAX_UNKNOWN pairs are read, however many a head announces.
 */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(limits) && limits_valid(limits) && \valid(out);
    requires \valid(seen + (0 .. FIELDS - 1));
    requires \separated(r, limits, out, seen + (0 .. FIELDS - 1));
    requires r->status == NITRO_OK && pcrs_inside(out, r->length) && unknown_inside(out, r->length);
    assigns  *r, *out, seen[0 .. FIELDS - 1];
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> pcrs_inside(out, r->length) && unknown_inside(out, r->length);
*/
static bool read_map(cbor_reader *r, const nitro_limits *limits, nitro_payload *out,
                     bool seen[FIELDS])
{
    cbor_head map;
    if (!cbor_read_head(r, &map)) {
        return false;
    }
    if (map.major != CBOR_MAP) {
        return cbor_fail(r, NITRO_ERR_NOT_MAP, map.offset, map.major);
    }
    /*@ loop invariant reader_valid(r) && reads_on{LoopEntry, Here}(r) && r->status == NITRO_OK;
        loop invariant pcrs_inside(out, r->length) && unknown_inside(out, r->length);
        loop invariant pairs <= r->position;
        loop assigns pairs, *r, *out, seen[0 .. FIELDS - 1];
        loop variant r->length - r->position;
    */
    for (uint64_t pairs = 0; cbor_has_more(r, &map, pairs); pairs++) {
        if (!read_pair(r, limits, out, seen)) {
            return false;
        }
    }
    return true;
}

/* P-9: the fields from module_id to cabundle are required, with one of the two kinds of PCRs */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(seen + (0 .. FIELDS - 1));
    requires \separated(r, seen + (0 .. FIELDS - 1)) && r->status == NITRO_OK;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && (\result <==> r->status == NITRO_OK);
    ensures  \result ==> (\forall integer i; NITRO_FIELD_MODULE_ID <= i <= NITRO_FIELD_CABUNDLE ==>
        seen[i] != 0 || i == NITRO_FIELD_PCRS || i == NITRO_FIELD_NITROTPM_PCRS);
    ensures  \result ==> seen[NITRO_FIELD_PCRS] != 0 || seen[NITRO_FIELD_NITROTPM_PCRS] != 0;
*/
static bool check_present(cbor_reader *r, const bool seen[FIELDS])
{
    const bool any_kind = seen[NITRO_FIELD_PCRS] || seen[NITRO_FIELD_NITROTPM_PCRS];
    /*@ loop invariant NITRO_FIELD_MODULE_ID <= field <= NITRO_FIELD_CABUNDLE + 1;
        loop invariant \forall integer i; NITRO_FIELD_MODULE_ID <= i < field ==>
            seen[i] != 0 || any_kind && (i == NITRO_FIELD_PCRS || i == NITRO_FIELD_NITROTPM_PCRS);
        loop assigns field;
        loop variant NITRO_FIELD_CABUNDLE - field;
    */
    for (nitro_field field = NITRO_FIELD_MODULE_ID; field <= NITRO_FIELD_CABUNDLE; field++) {
        if (!seen[field] && !(any_kind && is_kind(field))) {
            cbor_enter(r, field, NITRO_NO_INDEX);
            return cbor_fail(r, NITRO_ERR_MISSING, r->length, 0);
        }
    }
    return true;
}

/* P-4, P-9: the payload ends with the map, and no field that is required is missing */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(seen + (0 .. FIELDS - 1));
    requires \separated(r, seen + (0 .. FIELDS - 1)) && r->status == NITRO_OK;
    assigns  *r;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r) && r->length == \old(r->length);
    ensures  r->status == NITRO_OK ==> r->position == r->length;
*/
static void read_end(cbor_reader *r, const bool seen[FIELDS])
{
    cbor_enter(r, NITRO_FIELD_PAYLOAD, NITRO_NO_INDEX);
    if (cbor_expect_end(r)) {
        (void)check_present(r, seen);
    }
}

/* Reads the map and all fields of the payload. */
/*@ requires \valid(r) && reader_valid(r) && \valid_read(limits) && limits_valid(limits) && \valid(out);
    requires \separated(r, limits, out);
    requires r->status == NITRO_OK && pcrs_inside(out, r->length) && unknown_inside(out, r->length);
    assigns  *r, *out;
    ensures  reader_valid(r) && reads_on{Pre, Post}(r);
    ensures  r->status == NITRO_OK ==> pcrs_inside(out, r->length) && unknown_inside(out, r->length);
*/
static void read_fields(cbor_reader *r, const nitro_limits *limits, nitro_payload *out)
{
    bool seen[FIELDS] = {false};
    if (read_map(r, limits, out, seen)) {
        read_end(r, seen);
    }
}

/*@ requires \valid_read(limits);
    assigns  \nothing;
    ensures  \result <==> limits_valid(limits);
*/
static bool limits_are_valid(const nitro_limits *limits)
{
    return limits->public_key <= NITRO_MAX_OPTIONAL && limits->user_data <= NITRO_MAX_OPTIONAL &&
           limits->nonce <= NITRO_MAX_OPTIONAL && limits->unknown_fields <= NITRO_MAX_UNKNOWN;
}

/*@ requires \valid(out);
    assigns  *out;
    ensures  \forall integer i; 0 <= i < NITRO_MAX_PCRS ==> out->pcrs[i].offset == 0;
    ensures  out->unknown_count == 0;
*/
static void clear(nitro_payload *out)
{
    *out = (nitro_payload){0};
    /* The rest repeats it in a form that the proof can follow. */
    /*@ loop invariant i <= NITRO_MAX_PCRS;
        loop invariant \forall integer k; 0 <= k < i ==> out->pcrs[k].offset == 0;
        loop assigns i, out->pcrs[0 .. NITRO_MAX_PCRS - 1];
        loop variant NITRO_MAX_PCRS - i;
    */
    for (uint32_t i = 0; i < NITRO_MAX_PCRS; i++) {
        out->pcrs[i].offset = 0;
    }
    out->unknown_count = 0;
}

/* Reads the payload into *out, which is cleared. */
/*@ requires \valid(r) && reader_bounded(r) && \valid_read(limits) && \valid(out);
    requires \separated(r, limits, out);
    requires r->status == NITRO_OK && r->position == 0;
    requires pcrs_inside(out, r->length) && unknown_inside(out, r->length);
    requires 1 <= r->length <= NITRO_MAX_PAYLOAD ==> input_readable(r);
    assigns  *r, *out;
    ensures  reader_bounded(r);
    ensures  r->length == \old(r->length);
    ensures  r->status == NITRO_OK ==> pcrs_inside(out, r->length) && unknown_inside(out, r->length);
*/
static void read_payload(cbor_reader *r, const nitro_limits *limits, nitro_payload *out)
{
    cbor_enter(r, NITRO_FIELD_PAYLOAD, NITRO_NO_INDEX);
    if (!limits_are_valid(limits)) {
        cbor_fail(r, NITRO_ERR_LIMITS, 0, 0);
    } else if (r->length < 1 || r->length > NITRO_MAX_PAYLOAD) {
        cbor_fail(r, NITRO_ERR_PAYLOAD, 0, r->length);
    } else {
        read_fields(r, limits, out);
    }
}

nitro_status nitro_payload_parse(const uint8_t *payload, size_t len, const nitro_limits *limits,
                                 nitro_payload *out)
{
    static const nitro_limits defaults = {NITRO_DEFAULT_OPTIONAL, NITRO_DEFAULT_OPTIONAL,
                                          NITRO_DEFAULT_OPTIONAL, 0};
    if (payload == NULL || out == NULL) {
        return NITRO_ERR_NULL;
    }
    clear(out);
    /*@ assert pcrs_inside(out, len) && unknown_inside(out, len); */
    cbor_reader r = cbor_reader_over(payload, len);
    read_payload(&r, limits == NULL ? &defaults : limits, out);
    out->error = r.error;
    return r.status;
}

/* ---- Codes ------------------------------------------------------------------------------------ */

const char *nitro_status_code(nitro_status status)
{
    switch (status) {
    case NITRO_OK: return "ok";
    case NITRO_ERR_NULL: return "input.null";
    case NITRO_ERR_LIMITS: return "input.limits";
    case NITRO_ERR_TRUNCATED: return "cbor.truncated";
    case NITRO_ERR_NOT_MINIMAL: return "cbor.not_minimal";
    case NITRO_ERR_INDEFINITE: return "cbor.indefinite";
    case NITRO_ERR_RESERVED: return "cbor.reserved";
    case NITRO_ERR_BREAK: return "cbor.break";
    case NITRO_ERR_TRAILING: return "cbor.trailing";
    case NITRO_ERR_UTF8: return "cbor.utf8";
    case NITRO_ERR_EMPTY: return "document.empty";
    case NITRO_ERR_TOO_LARGE: return "document.too_large";
    case NITRO_ERR_TAG: return "cose.tag";
    case NITRO_ERR_ARRAY: return "cose.array";
    case NITRO_ERR_PROTECTED: return "cose.protected";
    case NITRO_ERR_UNPROTECTED: return "cose.unprotected";
    case NITRO_ERR_PAYLOAD: return "cose.payload";
    case NITRO_ERR_SIGNATURE_LENGTH: return "cose.signature_length";
    case NITRO_ERR_NOT_MAP: return "payload.not_map";
    case NITRO_ERR_KEY_TYPE: return "payload.key_type";
    case NITRO_ERR_DUPLICATE: return "payload.duplicate";
    case NITRO_ERR_UNKNOWN_KEY: return "payload.unknown_key";
    case NITRO_ERR_MISSING: return "payload.missing";
    case NITRO_ERR_KIND: return "payload.kind";
    case NITRO_ERR_NOT_NULLABLE: return "payload.null";
    case NITRO_ERR_MODULE_ID: return "payload.module_id";
    case NITRO_ERR_DIGEST: return "payload.digest";
    case NITRO_ERR_TIMESTAMP: return "payload.timestamp";
    case NITRO_ERR_PCRS_COUNT: return "payload.pcrs_count";
    case NITRO_ERR_PCR_INDEX: return "payload.pcr_index";
    case NITRO_ERR_PCR_LENGTH: return "payload.pcr_length";
    case NITRO_ERR_PCRS_MISSING: return "payload.pcrs_missing";
    case NITRO_ERR_CERTIFICATE: return "payload.certificate";
    case NITRO_ERR_CABUNDLE: return "payload.cabundle";
    case NITRO_ERR_CABUNDLE_ENTRY: return "payload.cabundle_entry";
    case NITRO_ERR_PUBLIC_KEY: return "payload.public_key";
    case NITRO_ERR_USER_DATA: return "payload.user_data";
    case NITRO_ERR_NONCE: return "payload.nonce";
    case NITRO_ERR_TYPE: return "payload.type";
    case NITRO_ERR_NESTING: return "payload.nesting";
    }
    return "internal";
}
