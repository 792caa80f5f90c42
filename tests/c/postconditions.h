/*
 * Postconditions of every call of the core, for any input: shared by the plain-C tests and the fuzz
 * targets. Each function returns the condition that does not hold, or NULL.
 */
#ifndef NITRO_POSTCONDITIONS_H
#define NITRO_POSTCONDITIONS_H

#include <stdbool.h>
#include <string.h>

#include "nitro_cose.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            return #condition;                                                                     \
        }                                                                                          \
    } while (0)

static inline bool span_inside(nitro_span span, size_t length)
{
    return span.offset <= length && span.length <= length - span.offset;
}

/* A field that may be absent: offset 0, or an offset after the head at byte 0. */
static inline bool span_inside_or_absent(nitro_span span, size_t length)
{
    return span.offset == 0 ? span.length == 0 : span_inside(span, length);
}

static inline const char *error_broken(const nitro_error *error, nitro_status status, size_t length)
{
    MUST(strcmp(nitro_status_code(status), "internal") != 0);
    MUST(error->offset <= length);
    MUST(span_inside_or_absent(error->text, length));
    MUST(error->field <= NITRO_FIELD_LAST);
    MUST(error->index < NITRO_MAX_PCRS || error->index == NITRO_NO_INDEX);
    MUST(error->reserved == 0);
    return NULL;
}

static inline const char *sign1_broken(const nitro_sign1 *out, nitro_status status, size_t length)
{
    if (status != NITRO_OK) {
        MUST(out->error.field <= NITRO_FIELD_SIGNATURE);
        MUST(out->error.index == NITRO_NO_INDEX);
        return error_broken(&out->error, status, length);
    }
    MUST(length <= NITRO_MAX_DOCUMENT);
    MUST(span_inside(out->protected_header, length));
    MUST(span_inside(out->payload, length));
    MUST(span_inside(out->signature, length));
    MUST(out->protected_header.offset > 0 && out->protected_header.length == 4);
    MUST(out->protected_header.offset + out->protected_header.length < out->payload.offset);
    MUST(out->payload.length >= 1 && out->payload.length <= NITRO_MAX_PAYLOAD);
    MUST(out->payload.offset + out->payload.length + 2 == out->signature.offset);
    MUST(out->signature.length == NITRO_SIGNATURE_SIZE);
    MUST(out->signature.offset + out->signature.length == length);
    return NULL;
}

static inline const char *pcrs_broken(const nitro_payload *out, size_t length)
{
    unsigned count = 0;
    for (unsigned i = 0; i < NITRO_MAX_PCRS; i++) {
        MUST(span_inside_or_absent(out->pcrs[i], length));
        MUST(out->pcrs[i].offset == 0 || out->pcrs[i].length == NITRO_PCR_SIZE);
        MUST(out->pcrs[i].offset != 0 || i > 2 || out->kind == NITRO_FIELD_NITROTPM_PCRS);
        count += out->pcrs[i].offset != 0;
    }
    MUST(count >= 1);
    return NULL;
}

static inline const char *cabundle_broken(const nitro_payload *out, size_t length)
{
    MUST(out->cabundle_count >= 1 && out->cabundle_count <= NITRO_MAX_CABUNDLE);
    for (unsigned i = 0; i < NITRO_MAX_CABUNDLE; i++) {
        MUST(span_inside_or_absent(out->cabundle[i], length));
        MUST((out->cabundle[i].offset != 0) == (i < out->cabundle_count));
        MUST(out->cabundle[i].length <= NITRO_MAX_CERTIFICATE);
        MUST(out->cabundle[i].offset == 0 || out->cabundle[i].length >= 1);
    }
    return NULL;
}

static inline const char *unknown_broken(const nitro_payload *out, size_t length)
{
    MUST(out->unknown_count <= NITRO_MAX_UNKNOWN);
    for (unsigned i = 0; i < NITRO_MAX_UNKNOWN; i++) {
        const nitro_span name = out->unknown[i].name, value = out->unknown[i].value;
        MUST(span_inside_or_absent(name, length) && span_inside_or_absent(value, length));
        MUST((name.offset != 0) == (i < out->unknown_count));
        MUST((value.length != 0) == (i < out->unknown_count));
        MUST(value.offset == name.offset + name.length);
    }
    return NULL;
}

static inline const char *payload_broken(const nitro_payload *out, nitro_status status,
                                         size_t length, const nitro_limits *limits)
{
    if (status != NITRO_OK) {
        return error_broken(&out->error, status, length);
    }
    MUST(length <= NITRO_MAX_PAYLOAD);
    MUST(out->kind == NITRO_FIELD_PCRS || out->kind == NITRO_FIELD_NITROTPM_PCRS);
    MUST(out->timestamp >= 1 && out->timestamp <= NITRO_MAX_TIMESTAMP);
    MUST(out->module_id.offset > 0 && span_inside(out->module_id, length));
    MUST(out->module_id.length >= 1 && out->module_id.length <= NITRO_MAX_MODULE_ID);
    MUST(out->digest.offset > 0 && span_inside(out->digest, length) && out->digest.length == 6);
    MUST(out->certificate.offset > 0 && span_inside(out->certificate, length));
    MUST(out->certificate.length >= 1 && out->certificate.length <= NITRO_MAX_CERTIFICATE);
    MUST(span_inside_or_absent(out->public_key, length));
    MUST(span_inside_or_absent(out->user_data, length));
    MUST(span_inside_or_absent(out->nonce, length));
    MUST(out->public_key.length <= limits->public_key);
    MUST(out->user_data.length <= limits->user_data);
    MUST(out->nonce.length <= limits->nonce);
    MUST(out->unknown_count <= limits->unknown_fields && out->reserved == 0);
    const char *broken = pcrs_broken(out, length);
    broken = broken != NULL ? broken : cabundle_broken(out, length);
    return broken != NULL ? broken : unknown_broken(out, length);
}

#endif
