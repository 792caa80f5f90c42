/*
 * nitro_cose: byte-level syntax of AWS Nitro attestation documents.
 *
 * Two functions check that bytes have the one accepted form and report the position of every field.
 * They check syntax only: an accepted document is well-formed, not authentic. The caller verifies
 * the certificate path and the signature.
 *
 *     document = [ D2 ] 84  44 A1013822  A0  bstr(payload)  58 60 <96 bytes>   end of input
 *     payload  = map of the fields below, in any order                         end of input
 *
 * The map of the payload, its map of PCRs and its cabundle may be definite or indefinite.
 *
 * Both functions are pure: no allocation, no mutable globals, no recursion, no I/O. They read only
 * [input, input + length), write only *out, and may run on any number of threads.
 *
 * docs/reference/rules.md lists the rules (C-4, P-6, ...) with their sources.
 */
#ifndef NITRO_COSE_H
#define NITRO_COSE_H

#include <stddef.h>
#include <stdint.h>

/* cffi reads the text between the two marks: declarations and plain integers only. */
/* cffi-begin */

#define NITRO_MAX_DOCUMENT 16384        /* C-2  bytes of a document */
#define NITRO_MAX_PAYLOAD 16276         /* C-9  bytes of a payload */
#define NITRO_SIGNATURE_SIZE 96         /* C-10 r || s, 48 bytes each */
#define NITRO_MAX_MODULE_ID 256         /* P-12 bytes */
#define NITRO_MAX_TIMESTAMP 253402300799999 /* P-14 last millisecond of year 9999 */
#define NITRO_MAX_PCRS 32               /* P-15, P-16 */
#define NITRO_PCR_SIZE 48               /* P-17 bytes: SHA-384 */
#define NITRO_MAX_CERTIFICATE 1024      /* P-19, P-21 bytes */
#define NITRO_MAX_CABUNDLE 8            /* P-20 certificates */
#define NITRO_DEFAULT_OPTIONAL 1024     /* P-22 to P-24 bytes, without nitro_limits */
#define NITRO_MAX_OPTIONAL 4096         /* P-23 highest cap in nitro_limits */
#define NITRO_MAX_UNKNOWN 16            /* P-7  highest number in nitro_limits */
#define NITRO_NO_INDEX 4294967295       /* in nitro_error: the field as a whole, not one entry */

/* The numbers are stable: never changed, never reused. nitro_status_code() returns their codes. */
typedef enum {
    NITRO_OK = 0,

    /* 1-15: usage errors, independent of the input */
    NITRO_ERR_NULL = 1,   /* a pointer that must not be NULL is NULL */
    NITRO_ERR_LIMITS = 2, /* a member of nitro_limits exceeds its highest value */

    /* 16-47: not well-formed CBOR, or not in the one accepted encoding */
    NITRO_ERR_TRUNCATED = 16,   /* C-13 */
    NITRO_ERR_NOT_MINIMAL = 17, /* C-11, P-3 */
    NITRO_ERR_INDEFINITE = 18,  /* C-11, P-3 */
    NITRO_ERR_RESERVED = 19,    /* RFC 8949 3: additional information 28-30, or 31 out of place */
    NITRO_ERR_BREAK = 20,       /* P-2, P-4 */
    NITRO_ERR_TRAILING = 21,    /* C-12, P-4 */
    NITRO_ERR_UTF8 = 22,        /* P-5 */

    /* 48-79: not the COSE_Sign1 of an attestation document */
    NITRO_ERR_EMPTY = 48,            /* C-1 */
    NITRO_ERR_TOO_LARGE = 49,        /* C-2 */
    NITRO_ERR_TAG = 50,              /* C-4 */
    NITRO_ERR_ARRAY = 51,            /* C-5 */
    NITRO_ERR_PROTECTED = 52,        /* C-6, C-7 */
    NITRO_ERR_UNPROTECTED = 53,      /* C-8 */
    NITRO_ERR_PAYLOAD = 54,          /* C-9 */
    NITRO_ERR_SIGNATURE_LENGTH = 55, /* C-10 */

    /* 80-: not the payload of an attestation document */
    NITRO_ERR_NOT_MAP = 80,        /* P-1 */
    NITRO_ERR_KEY_TYPE = 81,       /* P-5 */
    NITRO_ERR_DUPLICATE = 82,      /* P-6 */
    NITRO_ERR_UNKNOWN_KEY = 83,    /* P-7 */
    NITRO_ERR_MISSING = 84,        /* P-9 */
    NITRO_ERR_KIND = 85,           /* P-9 both pcrs and nitrotpm_pcrs */
    NITRO_ERR_NOT_NULLABLE = 86,   /* P-10 */
    NITRO_ERR_MODULE_ID = 87,      /* P-12 */
    NITRO_ERR_DIGEST = 88,         /* P-13 */
    NITRO_ERR_TIMESTAMP = 89,      /* P-14 */
    NITRO_ERR_PCRS_COUNT = 90,     /* P-15 */
    NITRO_ERR_PCR_INDEX = 91,      /* P-16 */
    NITRO_ERR_PCR_LENGTH = 92,     /* P-17 */
    NITRO_ERR_PCRS_MISSING = 93,   /* P-18 */
    NITRO_ERR_CERTIFICATE = 94,    /* P-19 */
    NITRO_ERR_CABUNDLE = 95,       /* P-20 */
    NITRO_ERR_CABUNDLE_ENTRY = 96, /* P-21 */
    NITRO_ERR_PUBLIC_KEY = 97,     /* P-22 */
    NITRO_ERR_USER_DATA = 98,      /* P-23 */
    NITRO_ERR_NONCE = 99,          /* P-24 */
    NITRO_ERR_TYPE = 100,          /* P-25; P-7: a tag or a float in an unknown field */
    NITRO_ERR_NESTING = 101        /* P-7: an unknown field has too many levels */
} nitro_status;

/* The item that was being read when an error was found. */
typedef enum {
    NITRO_FIELD_DOCUMENT = 0,
    NITRO_FIELD_PROTECTED = 1,
    NITRO_FIELD_UNPROTECTED = 2,
    NITRO_FIELD_PAYLOAD = 3,
    NITRO_FIELD_SIGNATURE = 4,
    NITRO_FIELD_KEY = 5, /* a key of the payload map */
    NITRO_FIELD_MODULE_ID = 6,
    NITRO_FIELD_DIGEST = 7,
    NITRO_FIELD_TIMESTAMP = 8,
    NITRO_FIELD_PCRS = 9,
    NITRO_FIELD_NITROTPM_PCRS = 10,
    NITRO_FIELD_CERTIFICATE = 11,
    NITRO_FIELD_CABUNDLE = 12,
    NITRO_FIELD_PUBLIC_KEY = 13,
    NITRO_FIELD_USER_DATA = 14,
    NITRO_FIELD_NONCE = 15,
    NITRO_FIELD_UNKNOWN = 16 /* the value of an unknown key (P-7) */
} nitro_field;

enum { NITRO_FIELD_LAST = NITRO_FIELD_UNKNOWN }; /* the highest nitro_field */

/*
 * The content of a string: input[offset .. offset + length), always inside the input.
 * offset 0 means that the field is absent or null: byte 0 is a head, never content.
 */
typedef struct {
    uint32_t offset;
    uint32_t length;
} nitro_span;

/*
 * The cause and position of an error. Meaningful unless a function returned NITRO_OK or
 * NITRO_ERR_NULL.
 * offset: first byte of the CBOR item at fault; the input's length if the input is truncated.
 * found:  the number that broke the rule (a length, count, index, tag or value); otherwise 0.
 * index:  the PCR, cabundle entry or unknown field; NITRO_NO_INDEX for the field as a whole.
 * text:   content of the string at fault, if it was read completely; otherwise {0, 0}.
 */
typedef struct {
    uint64_t found;
    uint32_t offset;
    uint32_t field; /* a nitro_field */
    uint32_t index;
    nitro_span text;
    uint32_t reserved; /* 0 */
} nitro_error;

/* A COSE_Sign1. On any status but NITRO_OK only error is meaningful. */
typedef struct {
    nitro_error error;
    nitro_span protected_header; /* the serialised map: 4 bytes */
    nitro_span payload;          /* 1 to NITRO_MAX_PAYLOAD bytes */
    nitro_span signature;        /* NITRO_SIGNATURE_SIZE bytes */
} nitro_sign1;

/* P-7: a field that was skipped. value is the complete CBOR item, head included. */
typedef struct {
    nitro_span name;
    nitro_span value;
} nitro_unknown;

/* A payload; spans are relative to it. On any status but NITRO_OK only error is meaningful. */
typedef struct {
    nitro_error error;
    uint64_t timestamp; /* milliseconds since 1970-01-01T00:00:00Z */
    nitro_span module_id;
    nitro_span digest;
    nitro_span certificate;
    nitro_span public_key;
    nitro_span user_data;
    nitro_span nonce;
    nitro_span pcrs[NITRO_MAX_PCRS]; /* by PCR index; offset 0 if absent */
    nitro_span cabundle[NITRO_MAX_CABUNDLE];
    uint32_t cabundle_count; /* 1 to NITRO_MAX_CABUNDLE */
    uint32_t kind;           /* NITRO_FIELD_PCRS (enclave) or NITRO_FIELD_NITROTPM_PCRS (instance) */
    nitro_unknown unknown[NITRO_MAX_UNKNOWN]; /* in their order */
    uint32_t unknown_count;  /* 0 without nitro_limits */
    uint32_t reserved;       /* 0 */
} nitro_payload;

/*
 * Caps in bytes for the three optional fields, each at most NITRO_MAX_OPTIONAL. unknown_fields is
 * the number of unknown fields to skip (P-7), at most NITRO_MAX_UNKNOWN: 0 rejects the first.
 */
typedef struct {
    uint32_t public_key;
    uint32_t user_data;
    uint32_t nonce;
    uint32_t unknown_fields;
} nitro_limits;

/*@ predicate span_inside(nitro_span span, integer length) =
        span.offset + span.length <= length;

    predicate span_inside_or_absent(nitro_span span, integer length) =
        span.offset == 0 ? span.length == 0 : span_inside(span, length);

    predicate error_inside(nitro_error error, integer length) =
        error.offset <= length && span_inside_or_absent(error.text, length) &&
        error.field <= NITRO_FIELD_LAST &&
        (error.index < NITRO_MAX_PCRS || error.index == NITRO_NO_INDEX) && error.reserved == 0;
*/

/*@ predicate content_inside(nitro_span span, integer least, integer most, integer length) =
        span.offset > 0 && least <= span.length <= most && span_inside(span, length);

    predicate content_at(nitro_span *span, integer least, integer most, integer length) =
        span->offset > 0 && least <= span->length <= most &&
        span->offset + span->length <= length;

    predicate sign1_valid(nitro_sign1 *out, integer length) =
        content_inside(out->protected_header, 4, 4, length) &&
        content_inside(out->payload, 1, NITRO_MAX_PAYLOAD, length) &&
        content_inside(out->signature, NITRO_SIGNATURE_SIZE, NITRO_SIGNATURE_SIZE, length) &&
        out->protected_header.offset + 4 < out->payload.offset &&
        out->payload.offset + out->payload.length < out->signature.offset &&
        out->signature.offset + NITRO_SIGNATURE_SIZE == length;
*/

/*
 * Parses the envelope (rules C-1 to C-13). doc and out must not be NULL.
 * Rejects len > NITRO_MAX_DOCUMENT without reading a byte.
 */
/*@ requires doc != \null && len <= NITRO_MAX_DOCUMENT ==> \valid_read(doc + (0 .. len - 1));
    requires out != \null ==> \valid(out);
    requires \separated(out, doc + (0 .. len - 1));
    assigns  *out;
    ensures  doc == \null || out == \null ==> \result == NITRO_ERR_NULL;
    ensures  \result == NITRO_OK ==> sign1_valid(out, len);
    ensures  doc != \null && out != \null ==> error_inside(out->error, len);
*/
nitro_status nitro_sign1_parse(const uint8_t *doc, size_t len, nitro_sign1 *out);

/*@ predicate optional_at(nitro_span *span, integer most, integer length) =
        span->offset == 0 && span->length == 0 || content_at(span, 0, most, length);

    predicate pcrs_inside(nitro_payload *out, integer length) =
        (\forall integer i; 0 <= i < NITRO_MAX_PCRS && out->pcrs[i].offset != 0 ==>
            content_at(&out->pcrs[i], NITRO_PCR_SIZE, NITRO_PCR_SIZE, length));

    predicate image_pcrs_present(nitro_payload *out) =
        (\forall integer i; 0 <= i < 3 ==> out->pcrs[i].offset != 0);

    predicate pcrs_valid(nitro_payload *out, integer length) =
        pcrs_inside(out, length) &&
        (out->kind == NITRO_FIELD_PCRS ==> image_pcrs_present(out)) &&
        (out->kind == NITRO_FIELD_PCRS || out->kind == NITRO_FIELD_NITROTPM_PCRS);

    predicate certificate_at(nitro_span *span, integer length) =
        content_at(span, 1, NITRO_MAX_CERTIFICATE, length);

    predicate certificates_inside(nitro_payload *out, integer count, integer length) =
        (\forall integer i; 0 <= i < count ==> certificate_at(&out->cabundle[i], length));

    predicate cabundle_valid(nitro_payload *out, integer length) =
        1 <= out->cabundle_count <= NITRO_MAX_CABUNDLE &&
        certificates_inside(out, out->cabundle_count, length);

    predicate unknown_inside(nitro_payload *out, integer length) =
        out->unknown_count <= NITRO_MAX_UNKNOWN &&
        (\forall integer i; 0 <= i < out->unknown_count ==>
            content_at(&out->unknown[i].name, 0, length, length) &&
            content_at(&out->unknown[i].value, 1, length, length));
*/

/*
 * Parses the payload (rules P-*). payload and out must not be NULL; limits may be NULL for the
 * defaults. Rejects len > NITRO_MAX_PAYLOAD without reading a byte.
 */
/*@ requires payload != \null && len <= NITRO_MAX_PAYLOAD ==>
        \valid_read(payload + (0 .. len - 1));
    requires limits != \null ==> \valid_read(limits);
    requires out != \null ==> \valid(out);
    requires \separated(out, payload + (0 .. len - 1), limits);
    assigns  *out;
    ensures  payload == \null || out == \null ==> \result == NITRO_ERR_NULL;
    ensures  \result == NITRO_OK ==> pcrs_inside(out, len) && unknown_inside(out, len);
    ensures  payload != \null && out != \null ==> error_inside(out->error, len);
*/
nitro_status nitro_payload_parse(const uint8_t *payload, size_t len, const nitro_limits *limits,
                                 nitro_payload *out);

/* Returns the stable code of a status, such as "cose.tag"; "ok" for NITRO_OK; never NULL. */
/*@ assigns \result \from status;
    ensures \result != \null;
*/
const char *nitro_status_code(nitro_status status);

/* cffi-end */

#endif
