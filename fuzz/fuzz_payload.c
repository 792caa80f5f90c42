/*
 * libFuzzer target for nitro_payload_parse(). Beyond the postconditions: the limits decide about
 * the optional and unknown fields and nothing else; an accepted payload is exactly what the reported
 * fields encode to, in their order and form (P-1 to P-8); without its last byte it is truncated.
 */
#include "postconditions.h"
#include "rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const nitro_limits lowest = {0, 0, 0, 0};
static const nitro_limits usual = {NITRO_DEFAULT_OPTIONAL, NITRO_DEFAULT_OPTIONAL,
                                   NITRO_DEFAULT_OPTIONAL, 0};
static const nitro_limits highest = {NITRO_MAX_OPTIONAL, NITRO_MAX_OPTIONAL, NITRO_MAX_OPTIONAL,
                                     NITRO_MAX_UNKNOWN};

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
           status == NITRO_ERR_NONCE || status == NITRO_ERR_UNKNOWN_KEY;
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

/* The head of a map or array of so many entries; true if it is indefinite and needs a break. */
static bool demand_container(rewriter *w, unsigned major, unsigned count)
{
    const uint8_t indefinite = (uint8_t)(major << 5 | 31);
    const bool open = follows(w, &indefinite, 1);
    demand(open || head_follows(w, major, count), "the head of a map or array");
    return open;
}

static void demand_break(rewriter *w, bool open)
{
    demand(!open || follows(w, "\xFF", 1), "the break of an indefinite map or array");
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
    const bool open = demand_container(w, MAJOR_MAP, count);
    while (count-- > 0) {
        unsigned i = 0;
        while (i < NITRO_MAX_PCRS && (left[i].offset == 0 || !head_follows(w, MAJOR_UINT, i))) {
            i++;
        }
        demand(i < NITRO_MAX_PCRS, "a PCR that was reported and not yet written");
        demand_string(w, MAJOR_BYTES, left[i]);
        left[i].offset = 0;
    }
    demand_break(w, open);
}

static void demand_cabundle(rewriter *w, const nitro_payload *out)
{
    const bool open = demand_container(w, MAJOR_ARRAY, out->cabundle_count);
    for (unsigned i = 0; i < out->cabundle_count; i++) {
        demand_string(w, MAJOR_BYTES, out->cabundle[i]);
    }
    demand_break(w, open);
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

/* Writes the next known key and gives its field, one of those that were not written yet. */
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
    return NITRO_FIELD_UNKNOWN;
}

/* Reads a head in its shortest form; true if it is indefinite. */
static bool demand_head(rewriter *w, unsigned *major, uint64_t *argument)
{
    demand(w->at < w->size, "an item inside the input");
    const uint8_t first = w->bytes[w->at];
    const size_t size = first % 32 < 24 ? 0 : (size_t)1 << (first % 32 - 24);
    *major = first / 32;
    *argument = first % 32;
    if (first % 32 == 31) {
        w->at++;
        return true;
    }
    demand(first % 32 <= 27 && w->size - w->at > size, "a head inside the input");
    if (size > 0) {
        *argument = 0;
    }
    for (size_t i = 1; i <= size; i++) {
        *argument = *argument << 8 | w->bytes[w->at + i];
    }
    demand(head_follows(w, *major, *argument), "the shortest head");
    return false;
}

/* P-7: any item of at most so many levels, read recursively, unlike the core. */
static void demand_item(rewriter *w, unsigned levels)
{
    unsigned major;
    uint64_t argument;
    const bool open = demand_head(w, &major, &argument);
    if (major == MAJOR_BYTES || major == MAJOR_TEXT) {
        demand(!open && argument <= w->size - w->at, "a definite string inside the input");
        w->at += argument;
    } else if (major == MAJOR_ARRAY || major == MAJOR_MAP) {
        demand(levels > 0, "no more levels");
        for (uint64_t i = 0; open ? !follows(w, "\xFF", 1) : i < argument; i++) {
            demand_item(w, levels - 1);
            if (major == MAJOR_MAP) {
                demand_item(w, levels - 1);
            }
        }
    } else {
        demand(!open && major != MAJOR_TAG, "an integer or a simple value");
        demand(major != MAJOR_SIMPLE || argument < 24 || (32 <= argument && argument <= 255),
               "a simple value, in its shortest form, and no float");
    }
}

static void demand_unknown(rewriter *w, const nitro_unknown *field)
{
    demand_string(w, MAJOR_TEXT, field->name);
    demand(field->value.offset == w->at, "the value of an unknown field follows its name");
    demand_item(w, 4);
    demand(field->value.offset + field->value.length == w->at, "the end of an unknown field");
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

/* The order and the forms are the input's; all else must follow from what was reported. */
static void demand_same_encoding(const uint8_t *data, size_t size, const nitro_payload *out)
{
    const bool indefinite = data[0] == 0xBF;
    const size_t end = indefinite ? size - 1 : size;
    const size_t start = data[0] == 0xB8 ? 2 : 1;
    rewriter head = {data, size, 0}, w = {data, size, start};
    uint32_t written = 0;
    unsigned pairs = 0, unknown = 0;
    for (; w.at < end; pairs++) {
        const unsigned field = next_key(&w, written);
        if (field == NITRO_FIELD_UNKNOWN) {
            demand(unknown < out->unknown_count, "an unknown field that was reported");
            demand_unknown(&w, &out->unknown[unknown++]);
        } else {
            written |= 1U << field;
            demand_value(&w, field, out);
        }
    }
    demand(w.at == end, "the last value is the end");
    demand(indefinite ? data[end] == 0xFF : head_follows(&head, MAJOR_MAP, pairs), "head or break");
    demand(indefinite || head.at == start, "the head in its shortest form");
    demand(unknown == out->unknown_count, "every unknown field");
    demand_all_written(written, out);
}

static void demand_truncation(const uint8_t *data, size_t size)
{
    nitro_payload out;
    uint8_t *copy = exact_copy(data, size - 1);
    demand_truncated(nitro_payload_parse(copy, size - 1, &highest, &out), &out.error, size - 1);
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
    if (most == NITRO_OK) {
        demand_same_encoding(data, size, &high);
        demand_truncation(data, size);
    }
    return 0;
}
