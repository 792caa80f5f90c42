/*
 * Runs the C core alone on the document named on the command line.
 *
 *     core FILE          parses it once, for callgrind --toggle-collect=parse_document
 *     core FILE COUNT    parses it COUNT times and prints the mean CPU time in nanoseconds
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "nitro_cose.h"

static uint8_t document[1 << 21];

/* Parses the envelope, then the payload inside it, as the Python package does. */
__attribute__((noinline)) static nitro_status parse_document(size_t size)
{
    static const nitro_limits limits = {NITRO_DEFAULT_OPTIONAL, NITRO_DEFAULT_OPTIONAL,
                                        NITRO_DEFAULT_OPTIONAL};
    nitro_sign1 envelope;
    nitro_payload payload;
    nitro_status status = nitro_sign1_parse(document, size, &envelope);
    if (status != NITRO_OK) {
        return status;
    }
    return nitro_payload_parse(document + envelope.payload.offset, envelope.payload.length, &limits,
                               &payload);
}

int main(int argc, char **argv)
{
    FILE *file = argc >= 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: core FILE [COUNT]\n");
        return 2;
    }
    size_t size = fread(document, 1, sizeof document, file);
    fclose(file);
    long count = argc >= 3 ? atol(argv[2]) : 1;
    int status = 0;
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    for (long i = 0; i < count; i++) {
        status = parse_document(size);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    double elapsed = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
    printf("%s %.1f\n", nitro_status_code((nitro_status)status), elapsed / (double)count);
    return 0;
}
