/*
 * libFuzzer target for nitro_payload_parse(). Beyond the postconditions: the limits decide about
 * the optional fields and nothing else; what is accepted is exactly what the reported fields encode
 * to, in the order in which they stand (P-1 to P-8); and one byte less of it is truncated.
 */
#include "postconditions.h"
#include "rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const nitro_limits lowest = {0, 0, 0};
static const nitro_limits usual = {NITRO_DEFAULT_OPTIONAL, NITRO_DEFAULT_OPTIONAL,
                                   NITRO_DEFAULT_OPTIONAL};
static const nitro_limits highest = {NITRO_MAX_OPTIONAL, NITRO_MAX_OPTIONAL, NITRO_MAX_OPTIONAL};

static nitro_status parse(const uint8_t *data, size_t size, const nitro_limits *limits,
                          nitro_payload *out)
{
    memset(out, 0xEE, sizeof *out);
    const nitro_status status = nitro_payload_parse(data, size, limits, out);
    const char *broken = payload_broken(out, status, size, limits);
    demand(broken == NULL, broken);
    return status;
}

static bool is_about_a_limit(nitro_status status)
{
    return status == NITRO_ERR_PUBLIC_KEY || status == NITRO_ERR_USER_DATA ||
           status == NITRO_ERR_NONCE;
}

/* Two verdicts under a lower and a higher limit: the same, unless the lower one was exceeded. */
static void demand_agreement(nitro_status lower, const nitro_payload *low, nitro_status higher,
                             const nitro_payload *high)
{
    if (!is_about_a_limit(lower)) {
        demand(lower == higher, "the same status");
        demand(memcmp(low, high, sizeof *low) == 0, "the same spans or the same error");
    }
}

/* P-6, P-15: the indices in their shortest form, each once, in any order. */
static void demand_pcrs(rewriter *w, const nitro_span pcrs[NITRO_MAX_PCRS])
{
    nitro_span left[NITRO_MAX_PCRS];
    unsigned count = 0;
    memcpy(left, pcrs, sizeof left);
    for (unsigned i = 0; i < NITRO_MAX_PCRS; i++) {
        count += pcrs[i].offset != 0;
    }
    demand(head_follows(w, MAJOR_MAP, count), "the head of the map of PCRs");
    while (count-- > 0) {
        unsigned i = 0;
        while (i < NITRO_MAX_PCRS && (left[i].offset == 0 || !head_follows(w, MAJOR_UINT, i))) {
            i++;
        }
        demand(i < NITRO_MAX_PCRS, "a PCR that was reported and not yet written");
        demand_string(w, MAJOR_BYTES, left[i]);
        left[i].offset = 0;
    }
}

static void demand_cabundle(rewriter *w, const nitro_payload *out)
{
    demand(head_follows(w, MAJOR_ARRAY, out->cabundle_count), "the head of the cabundle");
    for (unsigned i = 0; i < out->cabundle_count; i++) {
        demand_string(w, MAJOR_BYTES, out->cabundle[i]);
    }
}

static void demand_optional(rewriter *w, nitro_span content)
{
    if (content.offset == 0) {
        demand(follows(w, "\xF6", 1), "null where nothing was reported");
    } else {
        demand_string(w, MAJOR_BYTES, content);
    }
}

static void demand_value(rewriter *w, unsigned field, const nitro_payload *out)
{
    switch (field) {
    case NITRO_FIELD_MODULE_ID: demand_string(w, MAJOR_TEXT, out->module_id); break;
    case NITRO_FIELD_DIGEST: demand_string(w, MAJOR_TEXT, out->digest); break;
    case NITRO_FIELD_TIMESTAMP:
        demand(head_follows(w, MAJOR_UINT, out->timestamp), "the timestamp");
        break;
    case NITRO_FIELD_PCRS:
    case NITRO_FIELD_NITROTPM_PCRS:
        demand(field == out->kind, "the kind");
        demand_pcrs(w, out->pcrs);
        break;
    case NITRO_FIELD_CERTIFICATE: demand_string(w, MAJOR_BYTES, out->certificate); break;
    case NITRO_FIELD_CABUNDLE: demand_cabundle(w, out); break;
    case NITRO_FIELD_PUBLIC_KEY: demand_optional(w, out->public_key); break;
    case NITRO_FIELD_USER_DATA: demand_optional(w, out->user_data); break;
    case NITRO_FIELD_NONCE: demand_optional(w, out->nonce); break;
    }
}

/* Writes the next key and gives its field, one of those that were not written yet. */
static unsigned next_key(rewriter *w, uint32_t written)
{
    static const char *const names[] = {
        "module_id",   "digest",   "timestamp",  "pcrs",      "nitrotpm_pcrs",
        "certificate", "cabundle", "public_key", "user_data", "nonce",
    };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        const unsigned field = NITRO_FIELD_MODULE_ID + i;
        rewriter probe = *w;
        if ((written & 1U << field) == 0 &&
            head_follows(&probe, MAJOR_TEXT, strlen(names[i])) &&
            follows(&probe, names[i], strlen(names[i]))) {
            *w = probe;
            return field;
        }
    }
    demand(false, "a key that was not yet written");
    return 0;
}

static void demand_all_written(uint32_t written, const nitro_payload *out)
{
    const uint32_t always = 1U << NITRO_FIELD_MODULE_ID | 1U << NITRO_FIELD_DIGEST |
                            1U << NITRO_FIELD_TIMESTAMP | 1U << out->kind |
                            1U << NITRO_FIELD_CERTIFICATE | 1U << NITRO_FIELD_CABUNDLE;
    demand((written & always) == always, "every mandatory field");
    demand(out->public_key.offset == 0 || (written & 1U << NITRO_FIELD_PUBLIC_KEY), "public_key");
    demand(out->user_data.offset == 0 || (written & 1U << NITRO_FIELD_USER_DATA), "user_data");
    demand(out->nonce.offset == 0 || (written & 1U << NITRO_FIELD_NONCE), "nonce");
}

/* The order is the input's; all else must follow from what was reported. */
static void demand_same_encoding(const uint8_t *data, size_t size, const nitro_payload *out)
{
    const bool indefinite = data[0] == 0xBF;
    const size_t end = indefinite ? size - 1 : size;
    rewriter w = {data, size, 1};
    uint32_t written = 0;
    unsigned pairs = 0;
    for (; w.at < end; pairs++) {
        const unsigned field = next_key(&w, written);
        written |= 1U << field;
        demand_value(&w, field, out);
    }
    demand(w.at == end, "the last value is the end");
    demand(indefinite ? data[end] == 0xFF : data[0] == 0xA0 + pairs, "the head, and the break");
    demand_all_written(written, out);
}

static void demand_truncation(const uint8_t *data, size_t size)
{
    nitro_payload out;
    uint8_t *copy = exact_copy(data, size - 1);
    demand_truncated(nitro_payload_parse(copy, size - 1, NULL, &out), &out.error, size - 1);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nitro_payload low, middle, high;
    const nitro_status least = parse(data, size, &lowest, &low);
    const nitro_status status = parse(data, size, &usual, &middle);
    const nitro_status most = parse(data, size, &highest, &high);
    demand_agreement(least, &low, status, &middle);
    demand_agreement(status, &middle, most, &high);
    if (status == NITRO_OK) {
        demand_same_encoding(data, size, &middle);
        demand_truncation(data, size);
    }
    return 0;
}
