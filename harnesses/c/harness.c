/* Asks one verifier of AWS Nitro attestation documents about every case of the conformance suite:
 * reads one JSON object per line from standard input and writes one answer per line.
 *
 * This file is complete. Replace verify() in verifier.c with a call to the verifier under test. */
#define _GNU_SOURCE /* getline, timegm */
#include "harness.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const RESULTS[] = {"accept", "reject", "unsupported"};

static void fail(const char *what)
{
    fprintf(stderr, "harness: %s\n", what);
    exit(EXIT_FAILURE);
}

static const char *text(const json_t *request, const char *name)
{
    const char *value = json_string_value(json_object_get(request, name));

    if (value == NULL)
        fail("a member of the request is missing");
    return value;
}

static uint8_t *decode_base64(const char *encoded, size_t *size)
{
    size_t length = strlen(encoded);
    uint8_t *decoded = malloc(length / 4 * 3 + 1);
    int written;

    if (decoded == NULL)
        fail("no memory");
    written = EVP_DecodeBlock(decoded, (const uint8_t *)encoded, (int)length);
    if (written < 0)
        fail("malformed base64");
    /* The padding is decoded to zeros. */
    for (; length > 0 && encoded[length - 1] == '='; length--)
        written--;
    *size = (size_t)written;
    return decoded;
}

static int64_t read_time(const char *written)
{
    struct tm parts = {0};
    int milliseconds;

    if (strcmp(written, "document") == 0)
        return DOCUMENT_TIME;
    if (sscanf(written, "%d-%d-%dT%d:%d:%d.%dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
               &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &milliseconds) != 7)
        fail("malformed time");
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    return (int64_t)timegm(&parts) * 1000 + milliseconds;
}

static void answer_request(const json_t *request, struct answer *answer)
{
    static const char *const unsupported[] = {"image", "policy_file", "revocation"};
    uint8_t *document;
    size_t index, size;

    for (index = 0; index < 3; index++)
        if (json_object_get(request, unsupported[index]) != NULL) {
            answer->result = UNSUPPORTED;
            snprintf(answer->message, sizeof answer->message, "%s", unsupported[index]);
            return;
        }
    document = decode_base64(text(request, "document"), &size);
    /* A signal ends the process, which the suite counts as a crash in this case. */
    verify(document, size, text(request, "root"), read_time(text(request, "time")),
           json_object_get(request, "policy"), answer);
    free(document);
}

static void print_answer(FILE *output, const char *id, const struct answer *answer)
{
    json_t *line = json_pack("{s:s, s:s, s:s, s:s}", "id", id, "result", RESULTS[answer->result],
                             "code", answer->code, "message", answer->message);

    if (line == NULL || json_dumpf(line, output, JSON_COMPACT) != 0 || putc('\n', output) == EOF ||
        fflush(output) != 0)
        fail("the answer cannot be written");
    json_decref(line);
}

int main(void)
{
    /* What the verifier prints is not an answer: it goes to standard error. */
    FILE *output = fdopen(dup(STDOUT_FILENO), "w");
    char *line = NULL;
    size_t size = 0;

    if (output == NULL || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        fail("the standard output cannot be redirected");
    while (getline(&line, &size, stdin) > 0) {
        json_t *request = json_loads(line, 0, NULL);
        struct answer answer = {.result = REJECT};

        if (json_integer_value(json_object_get(request, "protocol")) != 1)
            fail("malformed request, or unknown protocol");
        answer_request(request, &answer);
        print_answer(output, text(request, "id"), &answer);
        json_decref(request);
    }
    free(line);
    return 0;
}
