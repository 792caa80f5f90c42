/* What verifier.c provides to the harness. */
#ifndef HARNESS_H
#define HARNESS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum result { ACCEPT, REJECT, UNSUPPORTED };

/* The result of one verification. Code and message are for people, and may be empty. */
struct answer {
    enum result result;
    char code[64];
    char message[512];
};

#define DOCUMENT_TIME INT64_MIN

/* Verifies one document.
 *
 * document, size: the raw bytes.
 * root: the only trusted root, PEM.
 * time: milliseconds since 1970; DOCUMENT_TIME: the document's own time.
 * policy: the member of this name of the request. Byte strings are hexadecimal, in lower case;
 *     null means: not checked.
 */
void verify(const uint8_t *document, size_t size, const char *root, int64_t time,
            const json_t *policy, struct answer *answer);

#endif
