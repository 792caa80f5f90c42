/*
 * Writes the seeds of both fuzz targets: FOLDER/fuzz_sign1/ and FOLDER/fuzz_payload/.
 *
 *     seeds FOLDER [DOCUMENT...]
 *
 * Small payloads of every kind, which a fuzzer changes more to the point than large ones, and each
 * document given with its payload.
 */
#include "notation.h"

#define START "69'module_id' 66'i-1-e1' 66'digest' 66'SHA384' 69'timestamp' 1B0000019254000000 "
#define ENCLAVE "64'pcrs' A4 00 5830*48 01 5830*48 02 5830*48 181F 5830*48 "
#define INSTANCE "6D'nitrotpm_pcrs' A2 07 5830*48 1818 5830*48 "
#define CERTIFICATES "6B'certificate' 44*4 68'cabundle' 84 44*4 5818*24 44*4 41*1 "
#define OPEN_ENCLAVE "64'pcrs' BF 00 5830*48 01 5830*48 02 5830*48 181F 5830*48 FF "
#define OPEN_INSTANCE "6D'nitrotpm_pcrs' BF 07 5830*48 1818 5830*48 FF "
#define OPEN_CERTIFICATES "6B'certificate' 44*4 68'cabundle' 9F 44*4 5818*24 FF "
#define UNKNOWN "63'one' BF 00 9F 81 A1 20 F5 F820 FF 62C3A9 43*3 FF "
#define NULLS "6A'public_key' F6 69'user_data' F6 65'nonce' F6 "

static const char *const payloads[] = {
    "A6" START ENCLAVE CERTIFICATES,
    "BF" START ENCLAVE CERTIFICATES "FF",
    "A6" START INSTANCE CERTIFICATES,
    "A9" START ENCLAVE CERTIFICATES NULLS,
    "BF" NULLS CERTIFICATES INSTANCE START "FF",
    "A9" START ENCLAVE CERTIFICATES "6A'public_key' 581A*26 69'user_data' 40 65'nonce' 54*20",
    "A8" START ENCLAVE CERTIFICATES "69'user_data' 590400*1024 65'nonce' 590401*1025",
    "A7" START ENCLAVE CERTIFICATES "6A'public_key' 591000*4096",
    "BF" START OPEN_ENCLAVE OPEN_CERTIFICATES NULLS "FF",
    "A6" START OPEN_INSTANCE OPEN_CERTIFICATES,
    "AB" START ENCLAVE CERTIFICATES NULLS UNKNOWN "63'two' 41*1",
    "BF" UNKNOWN START OPEN_ENCLAVE CERTIFICATES "FF",
};

static void write_file(const char *folder, const char *target, const char *name, const uint8_t *bytes,
                       size_t size)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void write_made_seed(const char *folder, size_t number)
{
    static sample payload, document;
    char name[32];
    (void)snprintf(name, sizeof name, "made-%zu", number);
    sample_clear(&payload);
    sample_write(&payload, payloads[number]);
    write_file(folder, "fuzz_payload", name, payload.bytes, payload.size);
    sample_clear(&document);
    sample_write(&document, number % 2 == 0 ? "84 44A1013822 A0 59" : "D2 84 44A1013822 A0 59");
    sample_put(&document, (uint8_t)(payload.size >> 8));
    sample_put(&document, (uint8_t)payload.size);
    for (size_t i = 0; i < payload.size; i++) {
        sample_put(&document, payload.bytes[i]);
    }
    sample_write(&document, "5860*96");
    write_file(folder, "fuzz_sign1", name, document.bytes, document.size);
}

/* One byte more than each entry point reads (C-2, C-9). */
static void write_oversized_seeds(const char *folder)
{
    static sample s;
    sample_clear(&s);
    sample_write(&s, "84 *16384");
    write_file(folder, "fuzz_sign1", "made-oversized", s.bytes, NITRO_MAX_DOCUMENT + 1);
    write_file(folder, "fuzz_payload", "made-oversized", s.bytes, NITRO_MAX_PAYLOAD + 1);
}

static void write_document(const char *folder, const char *path)
{
    static uint8_t bytes[NITRO_MAX_DOCUMENT];
    nitro_sign1 out;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    if (nitro_sign1_parse(bytes, size, &out) != NITRO_OK) {
        fprintf(stderr, "%s is not a document\n", path);
        exit(1);
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    write_file(folder, "fuzz_sign1", name, bytes, size);
    write_file(folder, "fuzz_payload", name, bytes + out.payload.offset, out.payload.length);
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fprintf(stderr, "usage: seeds FOLDER [DOCUMENT...]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        write_made_seed(arguments[1], i);
    }
    write_oversized_seeds(arguments[1]);
    for (int i = 2; i < count; i++) {
        write_document(arguments[1], arguments[i]);
    }
    return 0;
}
