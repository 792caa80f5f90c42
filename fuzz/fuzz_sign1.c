/*
 * libFuzzer target for nitro_sign1_parse(). Beyond the postconditions: what is accepted is exactly
 * what its own parts encode to (so nothing outside them can carry information, C-4 to C-12), and
 * one byte less of it is truncated (C-13).
 */
#include <stdio.h>
#include <stdlib.h>

#include "postconditions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

/* The head of the payload: a byte string in the shortest form. */
static size_t payload_head(uint32_t length, uint8_t out[3])
{
    if (length < 24) {
        out[0] = (uint8_t)(0x40 + length);
        return 1;
    }
    if (length < 256) {
        out[0] = 0x58;
        out[1] = (uint8_t)length;
        return 2;
    }
    out[0] = 0x59;
    out[1] = (uint8_t)(length >> 8);
    out[2] = (uint8_t)length;
    return 3;
}

static bool starts_with(const uint8_t **at, const uint8_t *end, const uint8_t *bytes, size_t size)
{
    const bool equal = (size_t)(end - *at) >= size && memcmp(*at, bytes, size) == 0;
    *at += equal ? size : 0;
    return equal;
}

static void demand_same_encoding(const uint8_t *data, size_t size, const nitro_sign1 *out)
{
    static const uint8_t start[] = {0x84, 0x44, 0xA1, 0x01, 0x38, 0x22, 0xA0}, last[] = {0x58, 0x60};
    const uint8_t *at = data, *end = data + size;
    uint8_t head[3];
    (void)starts_with(&at, end, (const uint8_t[]){0xD2}, 1);
    demand(starts_with(&at, end, start, sizeof start), "the elements before the payload");
    demand(starts_with(&at, end, head, payload_head(out->payload.length, head)), "the head");
    demand(at == data + out->payload.offset, "the payload follows its head");
    at += out->payload.length;
    demand(starts_with(&at, end, last, sizeof last), "the head of the signature");
    demand(at == data + out->signature.offset, "the signature follows its head");
    demand(end - at == NITRO_SIGNATURE_SIZE, "the signature is the end");
}

static void demand_truncation(const uint8_t *data, size_t size)
{
    nitro_sign1 out;
    uint8_t *copy = malloc(size - 1);
    demand(copy != NULL, "memory");
    memcpy(copy, data, size - 1);
    demand(nitro_sign1_parse(copy, size - 1, &out) == NITRO_ERR_TRUNCATED, "one byte less");
    demand(out.error.offset == size - 1, "the offset of one byte less");
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nitro_sign1 out;
    memset(&out, 0xEE, sizeof out);
    const nitro_status status = nitro_sign1_parse(data, size, &out);
    const char *broken = sign1_broken(&out, status, size);
    demand(broken == NULL, broken);
    if (status == NITRO_OK) {
        demand_same_encoding(data, size, &out);
        demand_truncation(data, size);
    }
    return 0;
}
