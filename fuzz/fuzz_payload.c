/*
 * libFuzzer target for nitro_payload_parse(). Beyond the postconditions: the limits decide about
 * the optional fields and nothing else, and one byte less of what is accepted is truncated.
 */
#include <stdio.h>
#include <stdlib.h>

#include "postconditions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const nitro_limits lowest = {0, 0, 0};
static const nitro_limits usual = {NITRO_DEFAULT_OPTIONAL, NITRO_DEFAULT_OPTIONAL,
                                   NITRO_DEFAULT_OPTIONAL};
static const nitro_limits highest = {NITRO_MAX_OPTIONAL, NITRO_MAX_OPTIONAL, NITRO_MAX_OPTIONAL};

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

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

static void demand_truncation(const uint8_t *data, size_t size)
{
    nitro_payload out;
    uint8_t *copy = malloc(size - 1);
    demand(copy != NULL, "memory");
    memcpy(copy, data, size - 1);
    demand(nitro_payload_parse(copy, size - 1, NULL, &out) == NITRO_ERR_TRUNCATED, "one byte less");
    demand(out.error.offset == size - 1, "the offset of one byte less");
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
        demand_truncation(data, size);
    }
    return 0;
}
