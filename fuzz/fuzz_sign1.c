/*
 * libFuzzer target for nitro_sign1_parse(). Beyond the postconditions: what is accepted is exactly
 * what its own parts encode to (so nothing outside them can carry information, C-4 to C-12), and
 * one byte less of it is truncated (C-13).
 */
#include "postconditions.h"
#include "rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand_same_encoding(const uint8_t *data, size_t size, const nitro_sign1 *out)
{
    static const uint8_t protected_header[] = {0xA1, 0x01, 0x38, 0x22};
    rewriter w = {data, size, 0};
    (void)follows(&w, "\xD2", 1);
    demand(head_follows(&w, MAJOR_ARRAY, 4), "an array of four");
    demand_string(&w, MAJOR_BYTES, out->protected_header);
    demand(memcmp(data + out->protected_header.offset, protected_header,
                  sizeof protected_header) == 0, "{alg: ES384}");
    demand(head_follows(&w, MAJOR_MAP, 0), "the empty map");
    demand_string(&w, MAJOR_BYTES, out->payload);
    demand_string(&w, MAJOR_BYTES, out->signature);
    demand(w.at == size, "the signature is the end");
}

static void demand_truncation(const uint8_t *data, size_t size)
{
    nitro_sign1 out;
    uint8_t *copy = exact_copy(data, size - 1);
    demand_truncated(nitro_sign1_parse(copy, size - 1, &out), &out.error, size - 1);
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
