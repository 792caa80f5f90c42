#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Follows a fixed rule: test_harnesses.py describes it. */
void verify(const uint8_t *document, size_t size, const char *root, int64_t time,
            const json_t *policy, struct answer *answer)
{
    char hex[64] = "", milliseconds[32] = "document";
    char *requirements = json_dumps(policy, JSON_COMPACT);

    puts("noise");
    if (time != DOCUMENT_TIME)
        snprintf(milliseconds, sizeof milliseconds, "%lld", (long long)time);
    if (size == 6 && memcmp(document, "accept", size) == 0)
        answer->result = ACCEPT;
    else if (size == 11 && memcmp(document, "unsupported", size) == 0)
        answer->result = UNSUPPORTED;
    else if (size == 5 && memcmp(document, "crash", size) == 0)
        abort();
    else
        answer->result = REJECT;
    for (size_t index = 0; index < size && index < 31; index++)
        snprintf(hex + 2 * index, 3, "%02x", document[index]);
    snprintf(answer->code, sizeof answer->code, "probe");
    snprintf(answer->message, sizeof answer->message, "%s %zu %s %s", hex, strlen(root),
             milliseconds, requirements);
    free(requirements);
}
