/*
 * Plain-C tests of the core. Built by csrc/Makefile under AddressSanitizer and
 * UndefinedBehaviorSanitizer; every input is a heap copy of exactly its size.
 *
 * The core is included, not linked, to reach its static functions. Arguments: files with genuine
 * documents, which are parsed, cut at every byte and changed in every bit.
 */
#include "nitro_cose.c"

#include "notation.h"
#include "postconditions.h"

static unsigned passed, failed;

static void check(bool holds, const char *condition, int line, const char *about)
{
    if (holds) {
        passed++;
    } else {
        failed++;
        printf("line %d: %s does not hold for: %s\n", line, condition, about);
    }
}

#define CHECK_FOR(about, condition) check((condition), #condition, __LINE__, (about))
#define CHECK(condition) CHECK_FOR("", condition)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Test cases ------------------------------------------------------------------------------ */

typedef struct {
    int replaced;         /* index of the part that the notation replaces; WHOLE: all of them */
    const char *notation; /* ^ marks the expected offset; without it, the input's length */
    nitro_status status;
    nitro_field field;
    uint32_t index;
    uint64_t found;
    unsigned pairs; /* of the payload map in the notation; 0 for WHOLE */
} test_case;

enum { WHOLE = -1 };

static void check_error(const test_case *c, const sample *s, const nitro_error *error)
{
    const size_t offset = s->mark == NO_MARK ? s->size : (size_t)s->mark;
    CHECK_FOR(c->notation, error->offset == offset);
    CHECK_FOR(c->notation, error->field == (uint32_t)c->field);
    CHECK_FOR(c->notation, error->index == c->index);
    CHECK_FOR(c->notation, error->found == c->found);
    CHECK_FOR(c->notation, error->text.offset == s->text.offset);
    CHECK_FOR(c->notation, error->text.length == s->text.length);
}

static nitro_status parse_sign1(const uint8_t *bytes, size_t size, nitro_sign1 *out)
{
    uint8_t *copy = exact_copy(bytes, size);
    memset(out, 0xEE, sizeof *out);
    const nitro_status status = nitro_sign1_parse(copy, size, out);
    const char *broken = sign1_broken(out, status, size);
    if (broken != NULL) {
        check(false, broken, __LINE__, "a COSE_Sign1");
    }
    free(copy);
    return status;
}

static const nitro_limits default_limits = {NITRO_DEFAULT_OPTIONAL, NITRO_DEFAULT_OPTIONAL,
                                            NITRO_DEFAULT_OPTIONAL, 0};
static const nitro_limits skipping_limits = {NITRO_DEFAULT_OPTIONAL, NITRO_DEFAULT_OPTIONAL,
                                             NITRO_DEFAULT_OPTIONAL, NITRO_MAX_UNKNOWN};

static nitro_status parse_payload(const uint8_t *bytes, size_t size, const nitro_limits *limits,
                                  nitro_payload *out)
{
    uint8_t *copy = exact_copy(bytes, size);
    memset(out, 0xEE, sizeof *out);
    const nitro_status status = nitro_payload_parse(copy, size, limits, out);
    const char *broken =
        payload_broken(out, status, size, limits == NULL ? &default_limits : limits);
    if (broken != NULL) {
        check(false, broken, __LINE__, "a payload");
    }
    free(copy);
    return status;
}

/* ---- The envelope ---------------------------------------------------------------------------- */

enum { TAG, ARRAY, PROTECTED, UNPROTECTED, PAYLOAD, SIGNATURE, REST, ENVELOPE_PARTS };

static const char *const envelope_parts[ENVELOPE_PARTS] = {
    "", "84", "44 A1013822", "A0", "43 *3", "5860 *96", "",
};

static void write_envelope(sample *s, int replaced, const char *notation)
{
    sample_clear(s);
    if (replaced == WHOLE) {
        sample_write(s, notation);
        return;
    }
    for (int part = 0; part < ENVELOPE_PARTS; part++) {
        sample_write(s, part == replaced ? notation : envelope_parts[part]);
    }
}

#define F(name) NITRO_FIELD_##name
#define ALL NITRO_NO_INDEX

static const test_case envelope_errors[] = {
    /* C-1, C-2 */
    {WHOLE, "", NITRO_ERR_EMPTY, F(DOCUMENT), ALL, 0, 0},
    {WHOLE, "^84 *16384", NITRO_ERR_TOO_LARGE, F(DOCUMENT), ALL, 16385, 0},
    /* C-4 */
    {TAG, "^D1", NITRO_ERR_TAG, F(DOCUMENT), ALL, 17, 0},
    {TAG, "D2 ^D2", NITRO_ERR_TAG, F(DOCUMENT), ALL, 18, 0},
    {TAG, "D2 ^C0", NITRO_ERR_TAG, F(DOCUMENT), ALL, 0, 0},
    {TAG, "^D812", NITRO_ERR_TAG, F(DOCUMENT), ALL, 18, 0},
    {TAG, "^D90012", NITRO_ERR_TAG, F(DOCUMENT), ALL, 18, 0},
    {TAG, "^DA00000012", NITRO_ERR_TAG, F(DOCUMENT), ALL, 18, 0},
    {TAG, "^DB0000000000000012", NITRO_ERR_TAG, F(DOCUMENT), ALL, 18, 0},
    {TAG, "^D9D9F7", NITRO_ERR_TAG, F(DOCUMENT), ALL, 0xD9F7, 0},
    {TAG, "^DC", NITRO_ERR_RESERVED, F(DOCUMENT), ALL, 28, 0},
    {TAG, "^DF", NITRO_ERR_RESERVED, F(DOCUMENT), ALL, 31, 0},
    {WHOLE, "D8", NITRO_ERR_TRUNCATED, F(DOCUMENT), ALL, 1, 0},
    {WHOLE, "DB 00000000000000", NITRO_ERR_TRUNCATED, F(DOCUMENT), ALL, 8, 0},
    /* C-5 */
    {ARRAY, "^83", NITRO_ERR_ARRAY, F(DOCUMENT), ALL, 0x83, 0},
    {ARRAY, "^85", NITRO_ERR_ARRAY, F(DOCUMENT), ALL, 0x85, 0},
    {ARRAY, "^9804", NITRO_ERR_ARRAY, F(DOCUMENT), ALL, 0x98, 0},
    {ARRAY, "^9F", NITRO_ERR_ARRAY, F(DOCUMENT), ALL, 0x9F, 0},
    {ARRAY, "^A4", NITRO_ERR_ARRAY, F(DOCUMENT), ALL, 0xA4, 0},
    {WHOLE, "^'hEShATgioFkRYal'", NITRO_ERR_ARRAY, F(DOCUMENT), ALL, 'h', 0},
    {WHOLE, "D2", NITRO_ERR_TRUNCATED, F(DOCUMENT), ALL, 1, 0},
    /* C-6, C-7, C-17 */
    {PROTECTED, "^43 A10120", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, 3, 0},
    {PROTECTED, "^43 A10126", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, 3, 0},
    {PROTECTED, "^44[A1013823]", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, 4, 0},
    {PROTECTED, "^44[A1013832]", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, 4, 0},
    {PROTECTED, "^45 A101382200", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, 5, 0},
    {PROTECTED, "^46 A20138220240", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, 6, 0},
    {PROTECTED, "^40", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, 0, 0},
    {PROTECTED, "^A1013822", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, CBOR_MAP, 0},
    {PROTECTED, "^64 A1013822", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, CBOR_TEXT, 0},
    {PROTECTED, "^FF", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, CBOR_SIMPLE, 0},
    {PROTECTED, "^5F 44 A1013822 FF", NITRO_ERR_INDEFINITE, F(PROTECTED), ALL, 0, 0},
    {PROTECTED, "^5804 A1013822", NITRO_ERR_NOT_MINIMAL, F(PROTECTED), ALL, 4, 0},
    {PROTECTED, "^5C", NITRO_ERR_RESERVED, F(PROTECTED), ALL, 28, 0},
    {PROTECTED, "^5B FFFFFFFFFFFFFFFF", NITRO_ERR_PROTECTED, F(PROTECTED), ALL, UINT64_MAX, 0},
    {WHOLE, "84", NITRO_ERR_TRUNCATED, F(PROTECTED), ALL, 1, 0},
    {WHOLE, "84 44 A10138", NITRO_ERR_TRUNCATED, F(PROTECTED), ALL, 4, 0},
    /* C-8 */
    {UNPROTECTED, "^A10440", NITRO_ERR_UNPROTECTED, F(UNPROTECTED), ALL, 0xA1, 0},
    {UNPROTECTED, "^B800", NITRO_ERR_UNPROTECTED, F(UNPROTECTED), ALL, 0xB8, 0},
    {UNPROTECTED, "^BFFF", NITRO_ERR_UNPROTECTED, F(UNPROTECTED), ALL, 0xBF, 0},
    {UNPROTECTED, "^F6", NITRO_ERR_UNPROTECTED, F(UNPROTECTED), ALL, 0xF6, 0},
    {WHOLE, "84 44 A1013822", NITRO_ERR_TRUNCATED, F(UNPROTECTED), ALL, 1, 0},
    /* C-9 */
    {PAYLOAD, "^F6", NITRO_ERR_PAYLOAD, F(PAYLOAD), ALL, CBOR_SIMPLE, 0},
    {PAYLOAD, "^40", NITRO_ERR_PAYLOAD, F(PAYLOAD), ALL, 0, 0},
    {PAYLOAD, "^593F95 *3", NITRO_ERR_PAYLOAD, F(PAYLOAD), ALL, 16277, 0},
    {PAYLOAD, "^5BFFFFFFFFFFFFFFFF *3", NITRO_ERR_PAYLOAD, F(PAYLOAD), ALL, UINT64_MAX, 0},
    {PAYLOAD, "^A0", NITRO_ERR_PAYLOAD, F(PAYLOAD), ALL, CBOR_MAP, 0},
    {PAYLOAD, "^5803 *3", NITRO_ERR_NOT_MINIMAL, F(PAYLOAD), ALL, 3, 0},
    {PAYLOAD, "^5F 43 *3 FF", NITRO_ERR_INDEFINITE, F(PAYLOAD), ALL, 0, 0},
    {WHOLE, "84 44 A1013822 A0 593F94 *3", NITRO_ERR_TRUNCATED, F(PAYLOAD), ALL, 16276, 0},
    {WHOLE, "84 44 A1013822 A0 593F", NITRO_ERR_TRUNCATED, F(PAYLOAD), ALL, 2, 0},
    /* C-10 */
    {SIGNATURE, "^585F *95", NITRO_ERR_SIGNATURE_LENGTH, F(SIGNATURE), ALL, 95, 0},
    {SIGNATURE, "^5861 *97", NITRO_ERR_SIGNATURE_LENGTH, F(SIGNATURE), ALL, 97, 0},
    {SIGNATURE, "^5840 *64", NITRO_ERR_SIGNATURE_LENGTH, F(SIGNATURE), ALL, 64, 0},
    {SIGNATURE, "^40", NITRO_ERR_SIGNATURE_LENGTH, F(SIGNATURE), ALL, 0, 0},
    {SIGNATURE, "^7860 *96", NITRO_ERR_SIGNATURE_LENGTH, F(SIGNATURE), ALL, CBOR_TEXT, 0},
    {SIGNATURE, "^F6", NITRO_ERR_SIGNATURE_LENGTH, F(SIGNATURE), ALL, CBOR_SIMPLE, 0},
    {SIGNATURE, "^590060 *96", NITRO_ERR_NOT_MINIMAL, F(SIGNATURE), ALL, 96, 0},
    {SIGNATURE, "^5F 5860 *96 FF", NITRO_ERR_INDEFINITE, F(SIGNATURE), ALL, 0, 0},
    {SIGNATURE, "5860 *95", NITRO_ERR_TRUNCATED, F(SIGNATURE), ALL, 96, 0},
    /* C-12 */
    {REST, "^00", NITRO_ERR_TRAILING, F(DOCUMENT), ALL, 1, 0},
    {REST, "^84 A0", NITRO_ERR_TRAILING, F(DOCUMENT), ALL, 2, 0},
};

static void test_envelope_errors(void)
{
    static sample s;
    nitro_sign1 out;
    for (size_t i = 0; i < COUNT(envelope_errors); i++) {
        const test_case *c = &envelope_errors[i];
        write_envelope(&s, c->replaced, c->notation);
        CHECK_FOR(c->notation, parse_sign1(s.bytes, s.size, &out) == c->status);
        check_error(c, &s, &out.error);
    }
}

/* Fails closed: fields that were not read are absent, whatever *out contained before. */
static void test_an_envelope_that_is_not_read_has_no_parts(void)
{
    static const nitro_span nowhere = {0, 0};
    nitro_sign1 out;
    CHECK(parse_sign1((const uint8_t *)"", 0, &out) == NITRO_ERR_EMPTY);
    CHECK(memcmp(&out.protected_header, &nowhere, sizeof nowhere) == 0);
    CHECK(memcmp(&out.payload, &nowhere, sizeof nowhere) == 0);
    CHECK(memcmp(&out.signature, &nowhere, sizeof nowhere) == 0);
}

static void check_envelope(int replaced, const char *notation, uint32_t payload_at, uint32_t size)
{
    static sample s;
    nitro_sign1 out;
    write_envelope(&s, replaced, notation);
    CHECK_FOR(notation, parse_sign1(s.bytes, s.size, &out) == NITRO_OK);
    CHECK_FOR(notation, out.payload.offset == payload_at && out.payload.length == size);
}

static void test_envelopes_that_are_accepted(void)
{
    check_envelope(TAG, "", 8, 3);
    check_envelope(TAG, "D2", 9, 3);
    check_envelope(PAYLOAD, "41 *1", 8, 1);
    check_envelope(PAYLOAD, "57 *23", 8, 23);
    check_envelope(PAYLOAD, "5818 *24", 9, 24);
    check_envelope(PAYLOAD, "58FF *255", 9, 255);
    check_envelope(PAYLOAD, "590100 *256", 10, 256);
    check_envelope(PAYLOAD, "593F94 *16276", 10, NITRO_MAX_PAYLOAD); /* 16384 bytes in all */
}

/* ---- The payload ----------------------------------------------------------------------------- */

enum {
    MODULE_ID,
    DIGEST,
    TIMESTAMP,
    PCRS,
    CERTIFICATE,
    CABUNDLE,
    PUBLIC_KEY,
    USER_DATA,
    NONCE,
    PAYLOAD_PARTS
};

static const char *const payload_parts[PAYLOAD_PARTS] = {
    "69'module_id' 7827'i-0123456789abcdef0-enc0123456789abcdef'",
    "66'digest' 66'SHA384'",
    "69'timestamp' 1B 0000019254000000",
    "64'pcrs' A4 00 5830*48 01 5830*48 02 5830*48 181F 5830*48",
    "6B'certificate' 590272*626",
    "68'cabundle' 84 590213*531 590260*608 590300*768 590260*608",
    "6A'public_key' 590122*290",
    "69'user_data' 40",
    "65'nonce' F6",
};

enum { DEFINITE = 0xA0, INDEFINITE = 0xBF };

static void write_payload(sample *s, const test_case *c, int form)
{
    sample_clear(s);
    if (c->replaced == WHOLE) {
        sample_write(s, c->notation);
        return;
    }
    sample_put(s, (uint8_t)(form == DEFINITE ? DEFINITE + PAYLOAD_PARTS - 1 + c->pairs : INDEFINITE));
    for (int part = 0; part < PAYLOAD_PARTS; part++) {
        sample_write(s, part == c->replaced ? c->notation : payload_parts[part]);
    }
    if (form == INDEFINITE) {
        sample_put(s, 0xFF);
    }
}

static const test_case payload_errors[] = {
    /* P-1 */
    {WHOLE, "^80", NITRO_ERR_NOT_MAP, F(PAYLOAD), ALL, CBOR_ARRAY, 0},
    {WHOLE, "^F6", NITRO_ERR_NOT_MAP, F(PAYLOAD), ALL, CBOR_SIMPLE, 0},
    {WHOLE, "^FF", NITRO_ERR_NOT_MAP, F(PAYLOAD), ALL, CBOR_SIMPLE, 0},
    {WHOLE, "^D2 A0", NITRO_ERR_NOT_MAP, F(PAYLOAD), ALL, CBOR_TAG, 0},
    {WHOLE, "^B809", NITRO_ERR_NOT_MINIMAL, F(PAYLOAD), ALL, 9, 0},
    {WHOLE, "^BC", NITRO_ERR_RESERVED, F(PAYLOAD), ALL, 28, 0},
    {WHOLE, "^1F", NITRO_ERR_RESERVED, F(PAYLOAD), ALL, 31, 0},
    {WHOLE, "B8", NITRO_ERR_TRUNCATED, F(PAYLOAD), ALL, 1, 0},
    {WHOLE, "BB FFFFFFFFFFFFFFFF", NITRO_ERR_TRUNCATED, F(KEY), ALL, 1, 0},
    /* P-2 */
    {PCRS, "64'pcrs' BF 05 ^FF", NITRO_ERR_BREAK, F(PCRS), 5, 0, 1},
    {PCRS, "64'pcrs' BF 00 5830*48 02 5830*48 01 ^FF", NITRO_ERR_BREAK, F(PCRS), 1, 0, 1},
    {PCRS, "64'pcrs' ^BF FF", NITRO_ERR_PCRS_COUNT, F(PCRS), ALL, 0, 1},
    {PCRS, "64'pcrs' ^BF 00 5830*48 02 5830*48 FF", NITRO_ERR_PCRS_MISSING, F(PCRS), 1, 1, 1},
    {PCRS, "64'pcrs' BF 00 5830*48 ^00 5830*48 FF", NITRO_ERR_DUPLICATE, F(PCRS), 0, 0, 1},
    {PCRS, "64'pcrs' BF 00 5830*48 ^1820 5830*48 FF", NITRO_ERR_PCR_INDEX, F(PCRS), ALL, 32, 1},
    {PCRS, "64'pcrs' BF 00 ^582F*47 FF", NITRO_ERR_PCR_LENGTH, F(PCRS), 0, 47, 1},
    {PCRS, "64'pcrs' ^9F FF", NITRO_ERR_TYPE, F(PCRS), ALL, CBOR_ARRAY, 1},
    {WHOLE, "A2 64'pcrs' BF 00 5830*48 01 5830*48 02 5830*48 FF ^FF", NITRO_ERR_BREAK, F(KEY), ALL, 0,
     0},
    {WHOLE, "BF 64'pcrs' BF 00 5830*48 01 5830*48 02 5830*48 FF FF ^FF", NITRO_ERR_TRAILING, F(PAYLOAD),
     ALL, 1, 0},
    {WHOLE, "A2 68'cabundle' 9F 41*1 FF ^FF", NITRO_ERR_BREAK, F(KEY), ALL, 0, 0},
    {CABUNDLE, "68'cabundle' ^9F FF", NITRO_ERR_CABUNDLE, F(CABUNDLE), ALL, 0, 1},
    {CABUNDLE, "68'cabundle' ^9F 41*1 41*1 41*1 41*1 41*1 41*1 41*1 41*1 41*1 FF", NITRO_ERR_CABUNDLE,
     F(CABUNDLE), ALL, 9, 1},
    {CABUNDLE, "68'cabundle' 9F 41*1 ^40 FF", NITRO_ERR_CABUNDLE_ENTRY, F(CABUNDLE), 1, 0, 1},
    {CABUNDLE, "68'cabundle' 9F 41*1 ^9F FF FF", NITRO_ERR_TYPE, F(CABUNDLE), 1, CBOR_ARRAY, 1},
    {CABUNDLE, "68'cabundle' ^BF FF", NITRO_ERR_TYPE, F(CABUNDLE), ALL, CBOR_MAP, 1},
    {WHOLE, "A1 64'pcrs' BF 00 5830*48", NITRO_ERR_TRUNCATED, F(PCRS), ALL, 1, 0},
    {WHOLE, "A1 68'cabundle' 9F 41*1", NITRO_ERR_TRUNCATED, F(CABUNDLE), 1, 1, 0},
    {WHOLE, "A1 68'cabundle' 9F 41*1 41*1 41*1 41*1 41*1 41*1 41*1 41*1", NITRO_ERR_TRUNCATED,
     F(CABUNDLE), 8, 1, 0},
    /* P-3 */
    {DIGEST, "^7806'digest' 66'SHA384'", NITRO_ERR_NOT_MINIMAL, F(KEY), ALL, 6, 1},
    {DIGEST, "^7F 66'digest' FF 66'SHA384'", NITRO_ERR_INDEFINITE, F(KEY), ALL, 0, 1},
    {DIGEST, "66'digest' ^7806'SHA384'", NITRO_ERR_NOT_MINIMAL, F(DIGEST), ALL, 6, 1},
    {DIGEST, "66'digest' ^7F 66'SHA384' FF", NITRO_ERR_INDEFINITE, F(DIGEST), ALL, 0, 1},
    {TIMESTAMP, "69'timestamp' ^1B 00000000FFFFFFFF", NITRO_ERR_NOT_MINIMAL, F(TIMESTAMP), ALL,
     UINT32_MAX, 1},
    {TIMESTAMP, "69'timestamp' ^1817", NITRO_ERR_NOT_MINIMAL, F(TIMESTAMP), ALL, 23, 1},
    {PCRS, "64'pcrs' ^B801 00 5830*48", NITRO_ERR_NOT_MINIMAL, F(PCRS), ALL, 1, 1},
    {PCRS, "64'pcrs' A2 04 5830*48 ^1800 5830*48", NITRO_ERR_NOT_MINIMAL, F(PCRS), ALL, 0, 1},
    {PCRS, "64'pcrs' A1 07 ^590030*48", NITRO_ERR_NOT_MINIMAL, F(PCRS), 7, 48, 1},
    {PCRS, "64'pcrs' A1 07 ^5F 5830*48 FF", NITRO_ERR_INDEFINITE, F(PCRS), 7, 0, 1},
    {CABUNDLE, "68'cabundle' ^9801 41*1", NITRO_ERR_NOT_MINIMAL, F(CABUNDLE), ALL, 1, 1},
    {CABUNDLE, "68'cabundle' 82 41*1 ^5801*1", NITRO_ERR_NOT_MINIMAL, F(CABUNDLE), 1, 1, 1},
    {CABUNDLE, "68'cabundle' 82 41*1 ^5F 41*1 FF", NITRO_ERR_INDEFINITE, F(CABUNDLE), 1, 0, 1},
    {NONCE, "65'nonce' ^5801*1", NITRO_ERR_NOT_MINIMAL, F(NONCE), ALL, 1, 1},
    {NONCE, "65'nonce' ^5F 41*1 FF", NITRO_ERR_INDEFINITE, F(NONCE), ALL, 0, 1},
    {NONCE, "65'nonce' ^5E", NITRO_ERR_RESERVED, F(NONCE), ALL, 30, 1},
    {PCRS, "64'pcrs' A2 05 5830*48 ^1F 5830*48", NITRO_ERR_RESERVED, F(PCRS), ALL, 31, 1},
    /* P-4 */
    {WHOLE, "A1 ^FF", NITRO_ERR_BREAK, F(KEY), ALL, 0, 0},
    {DIGEST, "66'digest' ^FF", NITRO_ERR_BREAK, F(DIGEST), ALL, 0, 1},
    {NONCE, "65'nonce' ^FF", NITRO_ERR_BREAK, F(NONCE), ALL, 0, 1},
    {PCRS, "64'pcrs' A2 05 5830*48 ^FF", NITRO_ERR_BREAK, F(PCRS), ALL, 0, 1},
    {PCRS, "64'pcrs' A2 05 ^FF", NITRO_ERR_BREAK, F(PCRS), 5, 0, 1},
    {CABUNDLE, "68'cabundle' 82 41*1 ^FF", NITRO_ERR_BREAK, F(CABUNDLE), 1, 0, 1},
    {WHOLE, "A0 ^FF", NITRO_ERR_TRAILING, F(PAYLOAD), ALL, 1, 0},
    {WHOLE, "BF FF ^FF 00", NITRO_ERR_TRAILING, F(PAYLOAD), ALL, 2, 0},
    {WHOLE, "A1 64'pcrs' A3 00 5830*48 01 5830*48 02 5830*48 ^A0", NITRO_ERR_TRAILING, F(PAYLOAD), ALL,
     1, 0},
    /* P-5 */
    {NONCE, "^01 F6", NITRO_ERR_KEY_TYPE, F(KEY), ALL, CBOR_UINT, 1},
    {NONCE, "^45'nonce' F6", NITRO_ERR_KEY_TYPE, F(KEY), ALL, CBOR_BYTES, 1},
    {NONCE, "^F6 F6", NITRO_ERR_KEY_TYPE, F(KEY), ALL, CBOR_SIMPLE, 1},
    {NONCE, "^F97E00 F6", NITRO_ERR_KEY_TYPE, F(KEY), ALL, CBOR_SIMPLE, 1},
    {NONCE, "65'nonc'^FF F6", NITRO_ERR_UTF8, F(KEY), ALL, 0, 1},
    {NONCE, "65'nonc'^C3 F6", NITRO_ERR_UTF8, F(KEY), ALL, 0, 1},
    {NONCE, "65'nonc'^C3 80", NITRO_ERR_UTF8, F(KEY), ALL, 0, 1}, /* 80 is past the end of the key */
    {MODULE_ID, "69'module_id' 62 ^FF'i'", NITRO_ERR_UTF8, F(MODULE_ID), ALL, 0, 1},
    {MODULE_ID, "69'module_id' 64'i-'^C0AF", NITRO_ERR_UTF8, F(MODULE_ID), ALL, 0, 1},
    {DIGEST, "66'digest' 66 'SHA'^EDA080", NITRO_ERR_UTF8, F(DIGEST), ALL, 0, 1},
    /* P-6 */
    {NONCE, "65'nonce' F6 ^65['nonce'] F6", NITRO_ERR_DUPLICATE, F(NONCE), ALL, 5, 2},
    {DIGEST, "66'digest' 66'SHA384' ^66['digest'] 66'SHA384'", NITRO_ERR_DUPLICATE, F(DIGEST), ALL, 6,
     2},
    {PCRS, "64'pcrs' A3 03 5830*48 04 5830*48 ^03 5830*48", NITRO_ERR_DUPLICATE, F(PCRS), 3, 3, 1},
    /* P-7 */
    {NONCE, "^66['nonces'] F6", NITRO_ERR_UNKNOWN_KEY, F(KEY), ALL, 6, 1},
    {NONCE, "^65['Nonce'] F6", NITRO_ERR_UNKNOWN_KEY, F(KEY), ALL, 5, 1},
    {NONCE, "^60[] F6", NITRO_ERR_UNKNOWN_KEY, F(KEY), ALL, 0, 1},
    /* P-9 */
    {MODULE_ID, "", NITRO_ERR_MISSING, F(MODULE_ID), ALL, 0, 0},
    {DIGEST, "", NITRO_ERR_MISSING, F(DIGEST), ALL, 0, 0},
    {TIMESTAMP, "", NITRO_ERR_MISSING, F(TIMESTAMP), ALL, 0, 0},
    {PCRS, "", NITRO_ERR_MISSING, F(PCRS), ALL, 0, 0},
    {CERTIFICATE, "", NITRO_ERR_MISSING, F(CERTIFICATE), ALL, 0, 0},
    {CABUNDLE, "", NITRO_ERR_MISSING, F(CABUNDLE), ALL, 0, 0},
    {WHOLE, "A0", NITRO_ERR_MISSING, F(MODULE_ID), ALL, 0, 0},
    {WHOLE, "BFFF", NITRO_ERR_MISSING, F(MODULE_ID), ALL, 0, 0},
    {NONCE, "^6D['nitrotpm_pcrs'] A0", NITRO_ERR_KIND, F(NITROTPM_PCRS), ALL, 13, 1},
    {MODULE_ID, "6D'nitrotpm_pcrs' A1 00 5830*48 ^64['pcrs'] A0", NITRO_ERR_KIND, F(PCRS), ALL, 4, 1},
    /* P-10 */
    {MODULE_ID, "69'module_id' ^F6", NITRO_ERR_NOT_NULLABLE, F(MODULE_ID), ALL, 22, 1},
    {DIGEST, "66'digest' ^F6", NITRO_ERR_NOT_NULLABLE, F(DIGEST), ALL, 22, 1},
    {TIMESTAMP, "69'timestamp' ^F6", NITRO_ERR_NOT_NULLABLE, F(TIMESTAMP), ALL, 22, 1},
    {PCRS, "64'pcrs' ^F6", NITRO_ERR_NOT_NULLABLE, F(PCRS), ALL, 22, 1},
    {CERTIFICATE, "6B'certificate' ^F6", NITRO_ERR_NOT_NULLABLE, F(CERTIFICATE), ALL, 22, 1},
    {CABUNDLE, "68'cabundle' ^F6", NITRO_ERR_NOT_NULLABLE, F(CABUNDLE), ALL, 22, 1},
    {PUBLIC_KEY, "6A'public_key' ^F7", NITRO_ERR_NOT_NULLABLE, F(PUBLIC_KEY), ALL, 23, 1},
    {USER_DATA, "69'user_data' ^F7", NITRO_ERR_NOT_NULLABLE, F(USER_DATA), ALL, 23, 1},
    {NONCE, "65'nonce' ^F7", NITRO_ERR_NOT_NULLABLE, F(NONCE), ALL, 23, 1},
    /* P-12 */
    {MODULE_ID, "69'module_id' ^60", NITRO_ERR_MODULE_ID, F(MODULE_ID), ALL, 0, 1},
    {MODULE_ID, "69'module_id' ^790101*257", NITRO_ERR_MODULE_ID, F(MODULE_ID), ALL, 257, 1},
    {MODULE_ID, "69'module_id' ^63['i'20'x']", NITRO_ERR_MODULE_ID, F(MODULE_ID), ALL, 3, 1},
    {MODULE_ID, "69'module_id' ^62['i'7F]", NITRO_ERR_MODULE_ID, F(MODULE_ID), ALL, 2, 1},
    {MODULE_ID, "69'module_id' ^62['i'00]", NITRO_ERR_MODULE_ID, F(MODULE_ID), ALL, 2, 1},
    {MODULE_ID, "69'module_id' ^62[' '69]", NITRO_ERR_MODULE_ID, F(MODULE_ID), ALL, 2, 1},
    {MODULE_ID, "69'module_id' ^63['i'C3A9]", NITRO_ERR_MODULE_ID, F(MODULE_ID), ALL, 3, 1},
    {MODULE_ID, "69'module_id' ^41'i'", NITRO_ERR_TYPE, F(MODULE_ID), ALL, CBOR_BYTES, 1},
    /* P-13 */
    {DIGEST, "66'digest' ^66['SHA256']", NITRO_ERR_DIGEST, F(DIGEST), ALL, 6, 1},
    {DIGEST, "66'digest' ^66['SHA385']", NITRO_ERR_DIGEST, F(DIGEST), ALL, 6, 1},
    {DIGEST, "66'digest' ^66['sha384']", NITRO_ERR_DIGEST, F(DIGEST), ALL, 6, 1},
    {DIGEST, "66'digest' ^67['SHA384'00]", NITRO_ERR_DIGEST, F(DIGEST), ALL, 7, 1},
    {DIGEST, "66'digest' ^60[]", NITRO_ERR_DIGEST, F(DIGEST), ALL, 0, 1},
    {DIGEST, "66'digest' ^46'SHA384'", NITRO_ERR_TYPE, F(DIGEST), ALL, CBOR_BYTES, 1},
    /* P-14 */
    {TIMESTAMP, "69'timestamp' ^00", NITRO_ERR_TIMESTAMP, F(TIMESTAMP), ALL, 0, 1},
    {TIMESTAMP, "69'timestamp' ^1B 0000E677D21FDC00", NITRO_ERR_TIMESTAMP, F(TIMESTAMP), ALL,
     253402300800000, 1},
    {TIMESTAMP, "69'timestamp' ^1B FFFFFFFFFFFFFFFF", NITRO_ERR_TIMESTAMP, F(TIMESTAMP), ALL,
     UINT64_MAX, 1},
    {TIMESTAMP, "69'timestamp' ^20", NITRO_ERR_TYPE, F(TIMESTAMP), ALL, 1, 1},
    {TIMESTAMP, "69'timestamp' ^C100", NITRO_ERR_TYPE, F(TIMESTAMP), ALL, CBOR_TAG, 1},
    {TIMESTAMP, "69'timestamp' ^FB 4278000000000000", NITRO_ERR_TYPE, F(TIMESTAMP), ALL, CBOR_SIMPLE,
     1},
    /* P-15 */
    {PCRS, "64'pcrs' ^A0", NITRO_ERR_PCRS_COUNT, F(PCRS), ALL, 0, 1},
    {PCRS, "64'pcrs' ^B821", NITRO_ERR_PCRS_COUNT, F(PCRS), ALL, 33, 1},
    {PCRS, "64'pcrs' ^BB FFFFFFFFFFFFFFFF", NITRO_ERR_PCRS_COUNT, F(PCRS), ALL, UINT64_MAX, 1},
    {PCRS, "64'pcrs' ^81 5830*48", NITRO_ERR_TYPE, F(PCRS), ALL, CBOR_ARRAY, 1},
    /* P-16 */
    {PCRS, "64'pcrs' A2 05 5830*48 ^1820 5830*48", NITRO_ERR_PCR_INDEX, F(PCRS), ALL, 32, 1},
    {PCRS, "64'pcrs' A1 ^1BFFFFFFFFFFFFFFFF 40", NITRO_ERR_PCR_INDEX, F(PCRS), ALL, UINT64_MAX, 1},
    {PCRS, "64'pcrs' A1 ^20 5830*48", NITRO_ERR_PCR_INDEX, F(PCRS), ALL, 0, 1},
    {PCRS, "64'pcrs' A1 ^6130 5830*48", NITRO_ERR_PCR_INDEX, F(PCRS), ALL, 1, 1},
    {PCRS, "64'pcrs' A1 ^7F 6130 FF 5830*48", NITRO_ERR_PCR_INDEX, F(PCRS), ALL, 0, 1},
    /* P-17 */
    {PCRS, "64'pcrs' A1 1818 ^582F*47", NITRO_ERR_PCR_LENGTH, F(PCRS), 24, 47, 1},
    {PCRS, "64'pcrs' A1 00 ^5831*49", NITRO_ERR_PCR_LENGTH, F(PCRS), 0, 49, 1},
    {PCRS, "64'pcrs' A1 00 ^5820*32", NITRO_ERR_PCR_LENGTH, F(PCRS), 0, 32, 1},
    {PCRS, "64'pcrs' A1 00 ^5840*64", NITRO_ERR_PCR_LENGTH, F(PCRS), 0, 64, 1},
    {PCRS, "64'pcrs' A1 09 ^40", NITRO_ERR_PCR_LENGTH, F(PCRS), 9, 0, 1},
    {PCRS, "64'pcrs' A1 09 ^7830*48", NITRO_ERR_TYPE, F(PCRS), 9, CBOR_TEXT, 1},
    {PCRS, "64'pcrs' A1 09 ^F6", NITRO_ERR_NOT_NULLABLE, F(PCRS), 9, 22, 1},
    /* P-18 */
    {PCRS, "64'pcrs' ^A2 01 5830*48 02 5830*48", NITRO_ERR_PCRS_MISSING, F(PCRS), 0, 0, 1},
    {PCRS, "64'pcrs' ^A2 00 5830*48 02 5830*48", NITRO_ERR_PCRS_MISSING, F(PCRS), 1, 1, 1},
    {PCRS, "64'pcrs' ^A2 00 5830*48 01 5830*48", NITRO_ERR_PCRS_MISSING, F(PCRS), 2, 2, 1},
    /* P-19 */
    {CERTIFICATE, "6B'certificate' ^40", NITRO_ERR_CERTIFICATE, F(CERTIFICATE), ALL, 0, 1},
    {CERTIFICATE, "6B'certificate' ^590401*1025", NITRO_ERR_CERTIFICATE, F(CERTIFICATE), ALL, 1025, 1},
    {CERTIFICATE, "6B'certificate' ^61*1", NITRO_ERR_TYPE, F(CERTIFICATE), ALL, CBOR_TEXT, 1},
    /* P-20, P-21 */
    {CABUNDLE, "68'cabundle' ^80", NITRO_ERR_CABUNDLE, F(CABUNDLE), ALL, 0, 1},
    {CABUNDLE, "68'cabundle' ^89", NITRO_ERR_CABUNDLE, F(CABUNDLE), ALL, 9, 1},
    {CABUNDLE, "68'cabundle' ^9BFFFFFFFFFFFFFFFF", NITRO_ERR_CABUNDLE, F(CABUNDLE), ALL, UINT64_MAX,
     1},
    {CABUNDLE, "68'cabundle' ^41*1", NITRO_ERR_TYPE, F(CABUNDLE), ALL, CBOR_BYTES, 1},
    {CABUNDLE, "68'cabundle' 82 41*1 ^40", NITRO_ERR_CABUNDLE_ENTRY, F(CABUNDLE), 1, 0, 1},
    {CABUNDLE, "68'cabundle' 82 41*1 ^590401*1025", NITRO_ERR_CABUNDLE_ENTRY, F(CABUNDLE), 1, 1025,
     1},
    {CABUNDLE, "68'cabundle' 82 41*1 ^8141*1", NITRO_ERR_TYPE, F(CABUNDLE), 1, CBOR_ARRAY, 1},
    /* P-22 to P-24 */
    {PUBLIC_KEY, "6A'public_key' ^590401*1025", NITRO_ERR_PUBLIC_KEY, F(PUBLIC_KEY), ALL, 1025, 1},
    {USER_DATA, "69'user_data' ^590401*1025", NITRO_ERR_USER_DATA, F(USER_DATA), ALL, 1025, 1},
    {NONCE, "65'nonce' ^590401*1025", NITRO_ERR_NONCE, F(NONCE), ALL, 1025, 1},
    /* P-25 */
    {PUBLIC_KEY, "6A'public_key' ^61*1", NITRO_ERR_TYPE, F(PUBLIC_KEY), ALL, CBOR_TEXT, 1},
    {USER_DATA, "69'user_data' ^F5", NITRO_ERR_TYPE, F(USER_DATA), ALL, CBOR_SIMPLE, 1},
    {USER_DATA, "69'user_data' ^F816", NITRO_ERR_TYPE, F(USER_DATA), ALL, CBOR_SIMPLE, 1},
    {NONCE, "65'nonce' ^D240", NITRO_ERR_TYPE, F(NONCE), ALL, CBOR_TAG, 1},
    {NONCE, "65'nonce' ^00", NITRO_ERR_TYPE, F(NONCE), ALL, CBOR_UINT, 1},
};

static void check_payload_error(const test_case *c, int form, const nitro_limits *limits)
{
    static sample s;
    nitro_payload out;
    write_payload(&s, c, form);
    CHECK_FOR(c->notation, parse_payload(s.bytes, s.size, limits, &out) == c->status);
    check_error(c, &s, &out.error);
}

static void test_payload_errors(void)
{
    for (size_t i = 0; i < COUNT(payload_errors); i++) {
        const test_case *c = &payload_errors[i];
        check_payload_error(c, DEFINITE, NULL);
        check_payload_error(c, INDEFINITE, NULL);
        if (c->status != NITRO_ERR_UNKNOWN_KEY) { /* without one, unknown_fields changes nothing */
            check_payload_error(c, DEFINITE, &skipping_limits);
            check_payload_error(c, INDEFINITE, &skipping_limits);
        }
    }
}

/* P-7 with unknown_fields: the nonce's part is an unknown field, or several. */
static const test_case unknown_errors[] = {
    /* P-6 */
    {NONCE, "63'new' 00 ^63['new'] 01", NITRO_ERR_DUPLICATE, F(KEY), ALL, 3, 2},
    {NONCE, "63'new' 00 63'net' 00 60 00 ^63['net'] 01", NITRO_ERR_DUPLICATE, F(KEY), ALL, 3, 4},
    {NONCE, "60 00 ^60[] 01", NITRO_ERR_DUPLICATE, F(KEY), ALL, 0, 2},
    {NONCE, "63'new' 00 ^66['digest'] 66'SHA384'", NITRO_ERR_DUPLICATE, F(DIGEST), ALL, 6, 2},
    /* P-4 */
    {NONCE, "63'new' ^FF", NITRO_ERR_BREAK, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' 81 ^FF", NITRO_ERR_BREAK, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' 82 00 ^FF", NITRO_ERR_BREAK, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' A1 ^FF", NITRO_ERR_BREAK, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' BF 00 ^FF", NITRO_ERR_BREAK, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' BF 00 00 9F FF ^FF", NITRO_ERR_BREAK, F(UNKNOWN), 0, 0, 1},
    {NONCE, "61'a' 00 63'new' 9F 81 ^FF", NITRO_ERR_BREAK, F(UNKNOWN), 1, 0, 2},
    {WHOLE, "A2 63'new' 9F FF ^FF", NITRO_ERR_BREAK, F(KEY), ALL, 0, 0},
    /* P-3 */
    {NONCE, "63'new' ^1817", NITRO_ERR_NOT_MINIMAL, F(UNKNOWN), 0, 23, 1},
    {NONCE, "63'new' ^3817", NITRO_ERR_NOT_MINIMAL, F(UNKNOWN), 0, 23, 1},
    {NONCE, "63'new' ^9801 00", NITRO_ERR_NOT_MINIMAL, F(UNKNOWN), 0, 1, 1},
    {NONCE, "63'new' ^B801 00 00", NITRO_ERR_NOT_MINIMAL, F(UNKNOWN), 0, 1, 1},
    {NONCE, "63'new' 81 ^5801 00", NITRO_ERR_NOT_MINIMAL, F(UNKNOWN), 0, 1, 1},
    {NONCE, "63'new' A1 ^7801'a' 00", NITRO_ERR_NOT_MINIMAL, F(UNKNOWN), 0, 1, 1},
    {NONCE, "63'new' ^F800", NITRO_ERR_NOT_MINIMAL, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' ^F81F", NITRO_ERR_NOT_MINIMAL, F(UNKNOWN), 0, 31, 1},
    {NONCE, "63'new' ^5F 41*1 FF", NITRO_ERR_INDEFINITE, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' 81 ^7F 61*1 FF", NITRO_ERR_INDEFINITE, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' ^1C", NITRO_ERR_RESERVED, F(UNKNOWN), 0, 28, 1},
    {NONCE, "63'new' ^3F", NITRO_ERR_RESERVED, F(UNKNOWN), 0, 31, 1},
    {NONCE, "63'new' ^FC", NITRO_ERR_RESERVED, F(UNKNOWN), 0, 28, 1},
    {NONCE, "63'new' 62'a'^FF", NITRO_ERR_UTF8, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' A1 61^80 00", NITRO_ERR_UTF8, F(UNKNOWN), 0, 0, 1},
    /* P-7 */
    {NONCE, "63'new' ^C0 00", NITRO_ERR_TYPE, F(UNKNOWN), 0, CBOR_TAG, 1},
    {NONCE, "63'new' 81 ^D9D9F7 00", NITRO_ERR_TYPE, F(UNKNOWN), 0, CBOR_TAG, 1},
    {NONCE, "63'new' ^F97E00", NITRO_ERR_TYPE, F(UNKNOWN), 0, CBOR_SIMPLE, 1},
    {NONCE, "63'new' ^FA00000000", NITRO_ERR_TYPE, F(UNKNOWN), 0, CBOR_SIMPLE, 1},
    {NONCE, "63'new' A1 00 ^FB0000000000000000", NITRO_ERR_TYPE, F(UNKNOWN), 0, CBOR_SIMPLE, 1},
    {NONCE, "63'new' 81818181 ^80", NITRO_ERR_NESTING, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' 9F9F9F9F ^A0 FFFFFFFF", NITRO_ERR_NESTING, F(UNKNOWN), 0, 0, 1},
    {NONCE, "63'new' A1 00 BF 00 82 80 A1 ^9F FF", NITRO_ERR_NESTING, F(UNKNOWN), 0, 0, 1},
    /* C-13 */
    {WHOLE, "A1 63'new'", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, 1, 0},
    {WHOLE, "A1 63'new' 81", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, 1, 0},
    {WHOLE, "A1 63'new' 9F 00", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, 1, 0},
    {WHOLE, "A1 63'new' A1 00", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, 1, 0},
    {WHOLE, "A1 63'new' 9BFFFFFFFFFFFFFFFF 00", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, 1, 0},
    {WHOLE, "A1 63'new' BBFFFFFFFFFFFFFFFF 00", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, 1, 0},
    {WHOLE, "A1 63'new' 5BFFFFFFFFFFFFFFFF 00", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, UINT64_MAX, 0},
    {WHOLE, "A1 63'new' 82 44 000000", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, 4, 0},
    {WHOLE, "A1 63'new' 64'abc'", NITRO_ERR_TRUNCATED, F(UNKNOWN), 0, 4, 0},
};

static void test_unknown_fields_that_are_rejected(void)
{
    for (size_t i = 0; i < COUNT(unknown_errors); i++) {
        check_payload_error(&unknown_errors[i], DEFINITE, &skipping_limits);
        check_payload_error(&unknown_errors[i], INDEFINITE, &skipping_limits);
    }
}

static nitro_status parse_with(int replaced, const char *notation, unsigned pairs,
                               const nitro_limits *limits, nitro_payload *out)
{
    static sample s;
    const test_case c = {replaced, notation, NITRO_OK, F(DOCUMENT), ALL, 0, pairs};
    write_payload(&s, &c, DEFINITE);
    const nitro_status definite = parse_payload(s.bytes, s.size, limits, out);
    write_payload(&s, &c, INDEFINITE);
    const nitro_status indefinite = parse_payload(s.bytes, s.size, limits, out);
    CHECK_FOR(notation, definite == indefinite);
    return indefinite;
}

static const struct {
    int replaced;
    const char *notation;
    unsigned pairs;
} accepted_payloads[] = {
    {MODULE_ID, "69'module_id' 61'!'", 1},
    {MODULE_ID, "69'module_id' 790100*256", 1},
    {MODULE_ID, "69'module_id' 61'~'", 1},
    {TIMESTAMP, "69'timestamp' 01", 1},
    {TIMESTAMP, "69'timestamp' 1B 0000E677D21FDBFF", 1},
    {PCRS, "64'pcrs' A3 02 5830*48 01 5830*48 00 5830*48", 1},
    {PCRS, "64'pcrs' BF 02 5830*48 01 5830*48 00 5830*48 FF", 1},
    {PCRS, "6D'nitrotpm_pcrs' A1 181F 5830*48", 1},
    {PCRS, "6D'nitrotpm_pcrs' BF 181F 5830*48 FF", 1},
    {CERTIFICATE, "6B'certificate' 41*1", 1},
    {CERTIFICATE, "6B'certificate' 590400*1024", 1},
    {CABUNDLE, "68'cabundle' 81 41*1", 1},
    {CABUNDLE, "68'cabundle' 88 590400*1024 41*1 41*1 41*1 41*1 41*1 41*1 41*1", 1},
    {CABUNDLE, "68'cabundle' 9F 41*1 FF", 1},
    {CABUNDLE, "68'cabundle' 9F 590400*1024 41*1 41*1 41*1 41*1 41*1 41*1 41*1 FF", 1},
    {PUBLIC_KEY, "6A'public_key' 590400*1024", 1},
    {PUBLIC_KEY, "6A'public_key' 40", 1},
    {PUBLIC_KEY, "", 0},
    {USER_DATA, "69'user_data' 590400*1024", 1},
    {USER_DATA, "69'user_data' F6", 1},
    {USER_DATA, "", 0},
    {NONCE, "65'nonce' 590400*1024", 1},
    {NONCE, "65'nonce' 40", 1},
    {NONCE, "", 0},
};

static void test_payloads_that_are_accepted(void)
{
    nitro_payload out;
    for (size_t i = 0; i < COUNT(accepted_payloads); i++) {
        const char *notation = accepted_payloads[i].notation;
        CHECK_FOR(notation, parse_with(accepted_payloads[i].replaced, notation,
                                       accepted_payloads[i].pairs, NULL, &out) == NITRO_OK);
    }
}

static void test_values_of_an_accepted_payload(void)
{
    nitro_payload out;
    CHECK(parse_with(NONCE, payload_parts[NONCE], 1, NULL, &out) == NITRO_OK);
    CHECK(out.kind == NITRO_FIELD_PCRS);
    CHECK(out.timestamp == 0x0000019254000000);
    CHECK(out.module_id.offset == 13 && out.module_id.length == 39);
    CHECK(out.pcrs[31].length == 48 && out.pcrs[3].offset == 0);
    CHECK(out.cabundle_count == 4 && out.cabundle[2].length == 768 && out.cabundle[4].offset == 0);
    CHECK(out.public_key.length == 290);
    CHECK(out.user_data.offset != 0 && out.user_data.length == 0); /* P-11 */
    CHECK(out.nonce.offset == 0 && out.nonce.length == 0);
    CHECK(parse_with(PCRS, "6D'nitrotpm_pcrs' A1 08 5830*48", 1, NULL, &out) == NITRO_OK);
    CHECK(out.kind == NITRO_FIELD_NITROTPM_PCRS);
}

/* P-2: an indefinite form has the values of the definite one. */
static void test_values_of_indefinite_containers(void)
{
    nitro_payload out;
    CHECK(parse_with(PCRS, "64'pcrs' BF 01 5830*48 00 5830*48 02 5830*48 1818 5830*48 FF", 1, NULL,
                     &out) == NITRO_OK);
    CHECK(out.kind == NITRO_FIELD_PCRS);
    CHECK(out.pcrs[1].offset + 48 + 3 == out.pcrs[0].offset && out.pcrs[24].length == 48);
    CHECK(out.pcrs[3].offset == 0);
    CHECK(parse_with(CABUNDLE, "68'cabundle' 9F 43*3 42*2 FF", 1, NULL, &out) == NITRO_OK);
    CHECK(out.cabundle_count == 2);
    CHECK(out.cabundle[0].length == 3 && out.cabundle[1].length == 2);
    CHECK(out.cabundle[0].offset + 3 + 1 == out.cabundle[1].offset);
    CHECK(out.cabundle[2].offset == 0);
}

/* ---- Unknown fields (P-7) -------------------------------------------------------------------- */

static const char *const skipped_values[] = {
    "00", "1818", "1BFFFFFFFFFFFFFFFF", "20", "3818", "3BFFFFFFFFFFFFFFFF", "40", "43*3", "60",
    "62 C3A9", "E0", "F4", "F6", "F7", "F820", "F8FF", "80", "A0", "9FFF", "BFFF", "82 00 43*3",
    "A1 61'a' 00", "A2 00 00 00 00", "9F 00 00 FF", "BF 00 00 20 F5 FF", "81 81 81 81 00",
    "81 81 81 80", "9F 9F 9F 9F FF FF FF FF", "A1 A0 BF 80 81 A1 00 00 FF", "84 9F FF 80 BF FF A0",
    "9F 81 9F FF BF FF FF", "83 82 00 00 80 A1 00 A0",
};

static void test_unknown_fields_that_are_skipped(void)
{
    static sample value, field;
    nitro_payload out;
    char notation[200];
    for (size_t i = 0; i < COUNT(skipped_values); i++) {
        const char *text = skipped_values[i];
        snprintf(notation, sizeof notation, "63'new' %s", text);
        sample_clear(&value);
        sample_write(&value, text);
        sample_clear(&field);
        sample_write(&field, payload_parts[MODULE_ID]);
        CHECK_FOR(text, parse_with(NONCE, notation, 1, NULL, &out) == NITRO_ERR_UNKNOWN_KEY);
        CHECK_FOR(text, parse_with(NONCE, notation, 1, &skipping_limits, &out) == NITRO_OK);
        CHECK_FOR(text, out.unknown_count == 1);
        CHECK_FOR(text, out.unknown[0].name.length == 3);
        CHECK_FOR(text, out.unknown[0].value.offset == out.unknown[0].name.offset + 3);
        CHECK_FOR(text, out.unknown[0].value.length == value.size);
        CHECK_FOR(text, out.unknown[1].name.offset == 0 && out.unknown[1].value.offset == 0);
    }
}

/* Each value is skipped whole: cut at any byte it is truncated, and what follows is untouched. */
static void test_an_unknown_value_is_skipped_whole_or_not(void)
{
    static sample s;
    for (size_t i = 0; i < COUNT(skipped_values); i++) {
        sample_clear(&s);
        sample_write(&s, skipped_values[i]);
        const size_t whole = s.size;
        sample_put(&s, 0x00);
        for (size_t size = 0; size <= whole + 1; size++) {
            uint8_t *copy = exact_copy(s.bytes, size);
            cbor_reader r = cbor_reader_over(copy, size);
            CHECK_FOR(skipped_values[i], cbor_skip(&r) == (size >= whole));
            CHECK_FOR(skipped_values[i], r.status == (size < whole ? NITRO_ERR_TRUNCATED : NITRO_OK));
            CHECK_FOR(skipped_values[i], size < whole || r.position == whole);
            free(copy);
        }
    }
}

static void write_unknown_fields(char *notation, size_t capacity, unsigned count)
{
    size_t used = 0;
    for (unsigned i = 0; i < count; i++) {
        used += (size_t)snprintf(notation + used, capacity - used, "62'%c'00 81 41*1 ", 'a' + (char)i);
    }
}

static void test_the_number_of_unknown_fields(void)
{
    static const unsigned allowed[] = {1, 2, NITRO_MAX_UNKNOWN};
    nitro_payload out;
    char notation[400];
    for (size_t i = 0; i < COUNT(allowed); i++) {
        nitro_limits limits = default_limits;
        limits.unknown_fields = allowed[i];
        write_unknown_fields(notation, sizeof notation, allowed[i]);
        /* a definite map of at most 23 pairs has a head of one byte */
        CHECK(allowed[i] > 15 || parse_with(NONCE, notation, allowed[i], &limits, &out) == NITRO_OK);
        const test_case most = {NONCE, notation, NITRO_OK, F(DOCUMENT), ALL, 0, allowed[i]};
        static sample s;
        write_payload(&s, &most, INDEFINITE);
        CHECK(parse_payload(s.bytes, s.size, &limits, &out) == NITRO_OK);
        CHECK(out.unknown_count == allowed[i]);
        for (unsigned field = 0; field + 1 < allowed[i]; field++) {
            CHECK(out.unknown[field].value.length == 3 && out.unknown[field].name.length == 2);
            CHECK(out.unknown[field + 1].name.offset == out.unknown[field].value.offset + 4);
        }
        write_unknown_fields(notation, sizeof notation, allowed[i] + 1);
        write_payload(&s, &most, INDEFINITE);
        CHECK(parse_payload(s.bytes, s.size, &limits, &out) == NITRO_ERR_UNKNOWN_KEY);
        CHECK(out.error.field == NITRO_FIELD_KEY && out.error.index == NITRO_NO_INDEX);
        CHECK(out.error.text.length == 2 && s.bytes[out.error.text.offset] == 'a' + allowed[i]);
        CHECK(out.error.offset + 1 == out.error.text.offset && out.error.found == 2);
    }
}

/* P-8 */
static void test_any_order_of_keys(void)
{
    static sample s;
    nitro_payload out;
    sample_clear(&s);
    sample_put(&s, INDEFINITE);
    for (int part = PAYLOAD_PARTS - 1; part >= 0; part--) {
        sample_write(&s, payload_parts[part]);
    }
    sample_put(&s, 0xFF);
    CHECK(parse_payload(s.bytes, s.size, NULL, &out) == NITRO_OK);
}

static void test_all_32_pcrs(void)
{
    static const char *const heads[] = {"B820", "B81F", "BF", "BF"};
    static sample s;
    nitro_payload out;
    for (unsigned i = 0; i < COUNT(heads); i++) {
        const unsigned missing = i % 2;
        sample_clear(&s);
        sample_write(&s, "A6");
        sample_write(&s, payload_parts[MODULE_ID]);
        sample_write(&s, payload_parts[DIGEST]);
        sample_write(&s, payload_parts[TIMESTAMP]);
        sample_write(&s, payload_parts[CERTIFICATE]);
        sample_write(&s, payload_parts[CABUNDLE]);
        sample_write(&s, "64'pcrs'");
        sample_write(&s, heads[i]);
        for (unsigned pcr = 0; pcr < NITRO_MAX_PCRS - missing; pcr++) {
            if (pcr > 23) {
                sample_put(&s, 24);
            }
            sample_put(&s, (uint8_t)pcr);
            sample_write(&s, "5830*48");
        }
        if (i > 1) {
            sample_put(&s, 0xFF);
        }
        CHECK(parse_payload(s.bytes, s.size, NULL, &out) == NITRO_OK);
        CHECK((out.pcrs[31].offset == 0) == (missing == 1));
    }
}

/* ---- Arguments ------------------------------------------------------------------------------- */

static void test_null_arguments(void)
{
    const uint8_t byte = 0xA0;
    nitro_sign1 sign1;
    nitro_payload payload;
    CHECK(nitro_sign1_parse(NULL, 0, &sign1) == NITRO_ERR_NULL);
    CHECK(nitro_sign1_parse(NULL, 1, &sign1) == NITRO_ERR_NULL);
    CHECK(nitro_sign1_parse(&byte, 1, NULL) == NITRO_ERR_NULL);
    CHECK(nitro_payload_parse(NULL, 1, NULL, &payload) == NITRO_ERR_NULL);
    CHECK(nitro_payload_parse(&byte, 1, NULL, NULL) == NITRO_ERR_NULL);
}

/* C-2, C-9: an oversized input is rejected by its length; only one byte of it can be read. */
static void test_oversized_input_is_not_read(void)
{
    static const size_t sizes[] = {NITRO_MAX_DOCUMENT + 1, (size_t)UINT32_MAX + 1, SIZE_MAX};
    uint8_t *byte = exact_copy((const uint8_t[]){0x84}, 1);
    nitro_sign1 sign1;
    nitro_payload payload;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        CHECK(nitro_sign1_parse(byte, sizes[i], &sign1) == NITRO_ERR_TOO_LARGE);
        CHECK(sign1.error.offset == 0 && sign1.error.found == sizes[i]);
        CHECK(nitro_payload_parse(byte, sizes[i], NULL, &payload) == NITRO_ERR_PAYLOAD);
        CHECK(payload.error.offset == 0 && payload.error.found == sizes[i]);
        CHECK(payload.error.field == NITRO_FIELD_PAYLOAD);
    }
    CHECK(nitro_payload_parse(byte, NITRO_MAX_PAYLOAD + 1, NULL, &payload) == NITRO_ERR_PAYLOAD);
    CHECK(nitro_payload_parse(byte, 0, NULL, &payload) == NITRO_ERR_PAYLOAD);
    free(byte);
}

static void test_the_largest_payload_is_read(void)
{
    static const uint8_t largest[NITRO_MAX_PAYLOAD] = {0};
    nitro_payload payload;
    CHECK(parse_payload(largest, sizeof largest, NULL, &payload) == NITRO_ERR_NOT_MAP);
}

static void test_limits(void)
{
    static const nitro_limits too_high[] = {
        {4097, 0, 0, 0},       {0, 4097, 0, 0}, {0, 0, 4097, 0},
        {0, 0, UINT32_MAX, 0}, {0, 0, 0, 17},   {0, 0, 0, UINT32_MAX}};
    static const nitro_limits highest = {4096, 4096, 4096, 16};
    static const nitro_limits none = {0, 0, 0, 0};
    nitro_payload out;
    for (size_t i = 0; i < COUNT(too_high); i++) {
        CHECK(parse_with(NONCE, "", 0, &too_high[i], &out) == NITRO_ERR_LIMITS);
        CHECK(out.error.offset == 0 && out.error.found == 0);
    }
    CHECK(parse_with(USER_DATA, "69'user_data' 591000*4096", 1, &highest, &out) == NITRO_OK);
    CHECK(out.user_data.length == 4096);
    CHECK(parse_with(NONCE, "65'nonce' 591000*4096", 1, &highest, &out) == NITRO_OK);
    CHECK(out.nonce.length == 4096);
    CHECK(parse_with(PUBLIC_KEY, "6A'public_key' 591000*4096", 1, &highest, &out) == NITRO_OK);
    CHECK(parse_with(NONCE, "65'nonce' 591001*4097", 1, &highest, &out) == NITRO_ERR_NONCE);
    CHECK(parse_with(PUBLIC_KEY, "6A'public_key' 40", 1, &none, &out) == NITRO_OK);
    CHECK(parse_with(PUBLIC_KEY, "6A'public_key' 41*1", 1, &none, &out) == NITRO_ERR_PUBLIC_KEY);
}

/* ---- Every cut and every bit of whole documents ---------------------------------------------- */

/* C-13: every proper prefix is truncated, and the error is at its end. */
static void check_truncations(const uint8_t *document, size_t size, nitro_span payload)
{
    nitro_sign1 sign1;
    nitro_payload out;
    for (size_t cut = 1; cut < size; cut++) {
        CHECK(parse_sign1(document, cut, &sign1) == NITRO_ERR_TRUNCATED);
        CHECK(sign1.error.offset == cut);
    }
    for (uint32_t cut = 1; cut < payload.length; cut++) {
        CHECK(parse_payload(document + payload.offset, cut, NULL, &out) == NITRO_ERR_TRUNCATED);
        CHECK(out.error.offset == cut);
    }
}

/* The postconditions hold after each change of one bit. */
static void check_bit_flips(uint8_t *document, size_t size, nitro_span payload)
{
    nitro_sign1 sign1;
    nitro_payload out;
    for (size_t bit_at = 0; bit_at < 8 * size; bit_at++) {
        const uint8_t mask = (uint8_t)(1U << (bit_at % 8));
        document[bit_at / 8] ^= mask;
        (void)parse_sign1(document, size, &sign1);
        (void)parse_payload(document + payload.offset, payload.length, NULL, &out);
        (void)parse_payload(document + payload.offset, payload.length, &skipping_limits, &out);
        document[bit_at / 8] ^= mask;
    }
}

static void check_document(uint8_t *document, size_t size)
{
    nitro_sign1 sign1;
    nitro_payload payload;
    CHECK(parse_sign1(document, size, &sign1) == NITRO_OK);
    CHECK(parse_payload(document + sign1.payload.offset, sign1.payload.length, NULL, &payload) ==
          NITRO_OK);
    check_truncations(document, size, sign1.payload);
    check_bit_flips(document, size, sign1.payload);
}

static void test_sample_documents(void)
{
    static const int forms[] = {DEFINITE, INDEFINITE};
    static sample payload, document;
    const test_case unchanged = {NONCE, payload_parts[NONCE], NITRO_OK, F(DOCUMENT), ALL, 0, 1};
    for (size_t i = 0; i < COUNT(forms); i++) {
        write_payload(&payload, &unchanged, forms[i]);
        sample_clear(&document);
        sample_write(&document, i == 0 ? "84 44 A1013822 A0 59" : "D2 84 44 A1013822 A0 59");
        sample_put(&document, (uint8_t)(payload.size >> 8));
        sample_put(&document, (uint8_t)payload.size);
        for (size_t at = 0; at < payload.size; at++) {
            sample_put(&document, payload.bytes[at]);
        }
        sample_write(&document, "5860*96");
        check_document(document.bytes, document.size);
    }
}

static void test_genuine_document(const char *path)
{
    static uint8_t document[NITRO_MAX_DOCUMENT];
    FILE *file = fopen(path, "rb");
    CHECK_FOR(path, file != NULL);
    if (file != NULL) {
        const size_t size = fread(document, 1, sizeof document, file);
        fclose(file);
        check_document(document, size);
    }
}

/* ---- The reader ------------------------------------------------------------------------------ */

static void test_take_near_the_largest_lengths(void)
{
    static const uint64_t counts[] = {9, UINT32_MAX, (uint64_t)UINT32_MAX + 8, INT64_MAX,
                                      UINT64_MAX - 7, UINT64_MAX};
    uint8_t *bytes = exact_copy((const uint8_t *)"12345678", 8);
    for (size_t i = 0; i < COUNT(counts); i++) {
        for (size_t position = 0; position <= 8; position++) {
            cbor_reader r = cbor_reader_over(bytes, 8);
            size_t start = 99;
            r.position = position;
            CHECK(!cbor_take(&r, counts[i], &start));
            CHECK(r.status == NITRO_ERR_TRUNCATED && r.position == position && start == 99);
            CHECK(r.error.offset == 8 && r.error.found == counts[i]);
        }
    }
    free(bytes);
}

static void test_take_up_to_the_end(void)
{
    cbor_reader r = cbor_reader_over((const uint8_t *)"12345678", 8);
    size_t start = 99;
    CHECK(cbor_take(&r, 3, &start) && start == 0 && r.position == 3);
    CHECK(cbor_take(&r, 0, &start) && start == 3 && r.position == 3);
    CHECK(cbor_take(&r, 5, &start) && start == 3 && r.position == 8);
    CHECK(cbor_take(&r, 0, &start) && start == 8 && r.position == 8);
    CHECK(cbor_expect_end(&r));
    CHECK(!cbor_take(&r, 1, &start) && r.position == 8);
    CHECK(!cbor_expect_end(&r));
}

static void test_peek_and_take_if(void)
{
    cbor_reader r = cbor_reader_over((const uint8_t *)"ab", 2);
    uint8_t byte = 0;
    CHECK(cbor_peek(&r, &byte) && byte == 'a' && r.position == 0);
    CHECK(!cbor_take_if(&r, 'b') && r.position == 0 && r.status == NITRO_OK);
    CHECK(cbor_take_if(&r, 'a') && r.position == 1);
    CHECK(cbor_take_if(&r, 'b') && r.position == 2);
    CHECK(!cbor_peek(&r, &byte) && r.status == NITRO_OK);
    CHECK(!cbor_take_if(&r, 'c') && r.status == NITRO_OK);
}

/* Compares member by member: the padding of a struct has no value. */
static bool same_reader(const cbor_reader *a, const cbor_reader *b)
{
    return a->bytes == b->bytes && a->length == b->length && a->position == b->position &&
           a->status == b->status && memcmp(&a->error, &b->error, sizeof a->error) == 0;
}

/* After an error every function returns false and leaves the reader unchanged. */
static void test_the_first_error_sticks(void)
{
    cbor_reader r = cbor_reader_over((const uint8_t *)"\x41\x41\x41", 3);
    cbor_head head = {.argument = 1, .major = CBOR_BYTES, .info = 1};
    nitro_span span;
    uint64_t value;
    size_t start;
    uint8_t byte;
    cbor_enter(&r, NITRO_FIELD_PCRS, 7);
    CHECK(!cbor_fail(&r, NITRO_ERR_PCR_LENGTH, 2, 47));
    const cbor_reader before = r;
    cbor_enter(&r, NITRO_FIELD_NONCE, 9);
    CHECK(!cbor_fail(&r, NITRO_ERR_TAG, 1, 1));
    CHECK(!cbor_fail_text(&r, NITRO_ERR_TAG, 1, (nitro_span){1, 1}));
    CHECK(!cbor_take(&r, 1, &start));
    CHECK(!cbor_peek(&r, &byte));
    CHECK(!cbor_take_if(&r, 0x41));
    CHECK(!cbor_read_integer(&r, 1, &value));
    CHECK(!cbor_read_head(&r, &head));
    CHECK(!cbor_require(&r, &head, CBOR_TEXT, NITRO_ERR_TYPE));
    CHECK(!cbor_take_content(&r, &head, &span));
    CHECK(!cbor_take_text(&r, &head, &span));
    CHECK(!cbor_skip(&r));
    CHECK(!cbor_expect_end(&r));
    r.position = 3;
    CHECK(!cbor_expect_end(&r)); /* at the end of the input too */
    r.position = 0;
    CHECK(same_reader(&before, &r));
    CHECK(r.error.field == NITRO_FIELD_PCRS && r.error.index == 7 && r.error.found == 47);
}

static void test_integers(void)
{
    static const uint8_t bytes[] = {0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10};
    static const uint64_t expected[] = {0xFE, 0xFEDC, 0xFEDCBA98, 0xFEDCBA9876543210};
    for (size_t i = 0; i < COUNT(expected); i++) {
        const size_t size = (size_t)1 << i;
        cbor_reader whole = cbor_reader_over(bytes, size);
        cbor_reader cut = cbor_reader_over(bytes, size - 1);
        uint64_t value = 1;
        CHECK(!cbor_read_integer(&cut, size, &value) && value == 1);
        CHECK(cut.status == NITRO_ERR_TRUNCATED && cut.position == 0);
        CHECK(cbor_read_integer(&whole, size, &value) && value == expected[i]);
    }
}

static void test_least_arguments(void)
{
    CHECK(cbor_least_argument(1) == 24);
    CHECK(cbor_least_argument(2) == 0x100);
    CHECK(cbor_least_argument(4) == 0x10000);
    CHECK(cbor_least_argument(8) == 0x100000000);
}

/* Returns the status of a head with a first byte and an argument with all bits set, or none. */
static nitro_status head_status(uint8_t first, uint8_t filler, cbor_head *head)
{
    uint8_t bytes[9];
    memset(bytes, filler, sizeof bytes);
    bytes[0] = first;
    cbor_reader r = cbor_reader_over(bytes, sizeof bytes);
    const bool read = cbor_read_head(&r, head);
    CHECK(read == (r.status == NITRO_OK));
    return r.status;
}

static nitro_status expected_head_status(uint8_t major, uint8_t info, bool least)
{
    const bool may_be_indefinite = major >= 2 && major != 6;
    if (info == 31) {
        return may_be_indefinite ? NITRO_OK : NITRO_ERR_RESERVED;
    }
    if (info >= 28) {
        return NITRO_ERR_RESERVED;
    }
    return info >= 24 && least && major != 7 ? NITRO_ERR_NOT_MINIMAL : NITRO_OK;
}

static void test_all_256_first_bytes_of_a_head(void)
{
    for (unsigned first = 0; first < 256; first++) {
        const uint8_t major = (uint8_t)(first >> 5), info = first & 0x1F;
        cbor_head head;
        CHECK(head_status((uint8_t)first, 0x00, &head) == expected_head_status(major, info, true));
        CHECK(head_status((uint8_t)first, 0xFF, &head) == expected_head_status(major, info, false));
        CHECK(head.major == major && head.info == info && head.offset == 0);
        CHECK(info >= 24 || head.argument == info);
        CHECK(info != 27 || head.argument == UINT64_MAX);
        CHECK(info != 31 || head.argument == 0);
    }
}

/* RFC 8949 4.2.1: the first argument that needs a width, and the last one that does not. */
static void test_shortest_forms(void)
{
    static const struct {
        const char *notation;
        nitro_status status;
        uint64_t argument;
    } heads[] = {
        {"17", NITRO_OK, 23},
        {"1817", NITRO_ERR_NOT_MINIMAL, 23},
        {"1818", NITRO_OK, 24},
        {"18FF", NITRO_OK, 255},
        {"1900FF", NITRO_ERR_NOT_MINIMAL, 255},
        {"190100", NITRO_OK, 256},
        {"1A0000FFFF", NITRO_ERR_NOT_MINIMAL, 65535},
        {"1A00010000", NITRO_OK, 65536},
        {"1B00000000FFFFFFFF", NITRO_ERR_NOT_MINIMAL, UINT32_MAX},
        {"1B0000000100000000", NITRO_OK, 4294967296},
    };
    static sample s;
    cbor_head head;
    for (size_t i = 0; i < COUNT(heads); i++) {
        sample_clear(&s);
        sample_write(&s, heads[i].notation);
        cbor_reader r = cbor_reader_over(s.bytes, s.size);
        CHECK_FOR(heads[i].notation, cbor_read_head(&r, &head) == (heads[i].status == NITRO_OK));
        CHECK_FOR(heads[i].notation, r.status == heads[i].status);
        CHECK_FOR(heads[i].notation, head.argument == heads[i].argument);
    }
}

static void test_strings_with_huge_lengths(void)
{
    static const uint64_t lengths[] = {3, UINT32_MAX, (uint64_t)UINT32_MAX + 2, UINT64_MAX};
    uint8_t *bytes = exact_copy((const uint8_t *)"ab", 2);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const cbor_head head = {.argument = lengths[i], .major = CBOR_TEXT};
        cbor_reader r = cbor_reader_over(bytes, 2);
        nitro_span span = {7, 7};
        CHECK(!cbor_take_text(&r, &head, &span));
        CHECK(r.status == NITRO_ERR_TRUNCATED && span.offset == 7 && span.length == 7);
    }
    free(bytes);
}

/* ---- Results of the payload's readers ---------------------------------------------------------- */

static const struct {
    nitro_field field;
    const char *notation;
} values[] = {
    {F(MODULE_ID), "63'i-0'"},
    {F(DIGEST), "66'SHA384'"},
    {F(TIMESTAMP), "1903E8"},
    {F(PCRS), "A3 00 5830*48 01 5830*48 02 5830*48"},
    {F(NITROTPM_PCRS), "A1 08 5830*48"},
    {F(CERTIFICATE), "42*2"},
    {F(CABUNDLE), "82 42*2 41*1"},
    {F(PUBLIC_KEY), "42*2"},
    {F(USER_DATA), "42*2"},
    {F(NONCE), "F6"},
};

/* C-13: each reader reports a truncated input itself, whichever function calls it. */
static void test_a_value_is_read_whole_or_not(void)
{
    static sample s;
    for (size_t i = 0; i < COUNT(values); i++) {
        sample_clear(&s);
        sample_write(&s, values[i].notation);
        for (size_t size = 0; size <= s.size; size++) {
            cbor_reader r = cbor_reader_over(s.bytes, size);
            nitro_payload out = {0};
            bool seen[FIELDS] = {false};
            const bool whole = size == s.size;
            CHECK_FOR(values[i].notation,
                      read_value(&r, values[i].field, &default_limits, &out, seen) == whole);
            CHECK_FOR(values[i].notation, seen[values[i].field] == whole);
        }
    }
}

static void test_a_pcr_and_a_head_are_read_whole_or_not(void)
{
    cbor_reader r = cbor_reader_over((const uint8_t *)"", 0);
    cbor_head head = {0};
    nitro_payload out = {0};
    CHECK(!read_value_head(&r, CBOR_UINT, &head));
    r = cbor_reader_over((const uint8_t *)"", 0);
    CHECK(!read_pcr(&r, NITRO_FIELD_PCRS, &out));
}

static void test_a_key_is_read_whole_or_not(void)
{
    static const uint8_t key[] = {0x65, 'n', 'o', 'n', 'c', 'e'};
    for (size_t size = 1; size <= sizeof key; size++) {
        cbor_reader r = cbor_reader_over(key, size);
        const payload_key read = read_key(&r);
        CHECK((r.status == NITRO_OK) == (size == sizeof key));
        CHECK((read.field == NITRO_FIELD_NONCE) == (size == sizeof key));
    }
}

static void test_a_map_is_read_whole_or_not(void)
{
    static const int forms[] = {DEFINITE, INDEFINITE};
    static const test_case whole = {NONCE, "65'nonce' F6", NITRO_OK, F(DOCUMENT), ALL, 0, 1};
    static sample s;
    for (size_t i = 0; i < COUNT(forms); i++) {
        write_payload(&s, &whole, forms[i]);
        for (size_t size = 0; size <= s.size; size++) {
            cbor_reader r = cbor_reader_over(s.bytes, size);
            nitro_payload out = {0};
            bool seen[FIELDS] = {false};
            CHECK(read_map(&r, &default_limits, &out, seen) == (size == s.size));
            CHECK(size < s.size || check_present(&r, seen));
        }
    }
}

/* ---- UTF-8 (RFC 3629) ------------------------------------------------------------------------ */

static size_t encode_utf8(uint32_t point, uint8_t out[4])
{
    const size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    out[0] = (uint8_t)(leads[size] | point);
    return size;
}

static void test_utf8_of_every_code_point(void)
{
    bool all_read = true, none_cut = true;
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        uint8_t text[4];
        const size_t size = encode_utf8(point, text);
        const bool surrogate = 0xD800 <= point && point <= 0xDFFF;
        all_read = all_read && utf8_sequence(text, size) == (surrogate ? 0 : size);
        none_cut = none_cut && (size == 1 || utf8_sequence(text, size - 1) == 0);
    }
    CHECK(all_read);
    CHECK(none_cut);
}

/* The number of accepted sequences of each size equals the number of code points that need it. */
static void test_utf8_reads_nothing_else(void)
{
    size_t counts[5] = {0};
    for (uint32_t bits = 0; bits <= 0xFFFFFF; bits++) {
        const uint8_t text[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        counts[utf8_sequence(text, 3)]++;
    }
    CHECK(counts[1] == 0x80 * 0x10000);
    CHECK(counts[2] == (0x800 - 0x80) * 0x100);
    CHECK(counts[3] == 0x10000 - 0x800 - 0x800);
    CHECK(counts[4] == 0);
    counts[4] = 0;
    for (uint32_t bits = 0; bits <= 0xFFFFFF; bits++) {
        const uint8_t text[4] = {(uint8_t)(0xF0 | bits >> 20), (uint8_t)(bits >> 12),
                                 (uint8_t)(bits >> 4), (uint8_t)(0x80 | (bits & 0xF))};
        counts[utf8_sequence(text, 4)]++;
    }
    CHECK(counts[4] == 0x100000 / 4); /* 16 of the 64 last bytes are tried */
    for (unsigned last = 0; last < 256; last++) {
        const uint8_t text[4] = {0xF0, 0x9F, 0x98, (uint8_t)last};
        CHECK((utf8_sequence(text, 4) == 4) == (last >> 6 == 2));
    }
}

/* ---- Codes ----------------------------------------------------------------------------------- */

/* The numbers are stable: a released one never changes its code. */
static const struct {
    int status;
    const char *code;
} stable_codes[] = {
    {0, "ok"},
    {1, "input.null"},
    {2, "input.limits"},
    {16, "cbor.truncated"},
    {17, "cbor.not_minimal"},
    {18, "cbor.indefinite"},
    {19, "cbor.reserved"},
    {20, "cbor.break"},
    {21, "cbor.trailing"},
    {22, "cbor.utf8"},
    {48, "document.empty"},
    {49, "document.too_large"},
    {50, "cose.tag"},
    {51, "cose.array"},
    {52, "cose.protected"},
    {53, "cose.unprotected"},
    {54, "cose.payload"},
    {55, "cose.signature_length"},
    {80, "payload.not_map"},
    {81, "payload.key_type"},
    {82, "payload.duplicate"},
    {83, "payload.unknown_key"},
    {84, "payload.missing"},
    {85, "payload.kind"},
    {86, "payload.null"},
    {87, "payload.module_id"},
    {88, "payload.digest"},
    {89, "payload.timestamp"},
    {90, "payload.pcrs_count"},
    {91, "payload.pcr_index"},
    {92, "payload.pcr_length"},
    {93, "payload.pcrs_missing"},
    {94, "payload.certificate"},
    {95, "payload.cabundle"},
    {96, "payload.cabundle_entry"},
    {97, "payload.public_key"},
    {98, "payload.user_data"},
    {99, "payload.nonce"},
    {100, "payload.type"},
    {101, "payload.nesting"},
};

static bool is_reached(int status)
{
    bool reached = status <= NITRO_ERR_LIMITS; /* tested separately */
    for (size_t i = 0; i < COUNT(envelope_errors); i++) {
        reached = reached || (int)envelope_errors[i].status == status;
    }
    for (size_t i = 0; i < COUNT(payload_errors); i++) {
        reached = reached || (int)payload_errors[i].status == status;
    }
    for (size_t i = 0; i < COUNT(unknown_errors); i++) {
        reached = reached || (int)unknown_errors[i].status == status;
    }
    return reached;
}

static void test_every_status_has_its_stable_code_and_a_case(void)
{
    size_t known = 0;
    for (int status = 0; status < 256; status++) {
        known += strcmp(nitro_status_code((nitro_status)status), "internal") != 0;
    }
    CHECK(known == COUNT(stable_codes));
    for (size_t i = 0; i < COUNT(stable_codes); i++) {
        const char *code = stable_codes[i].code;
        CHECK_FOR(code, strcmp(nitro_status_code((nitro_status)stable_codes[i].status), code) == 0);
        CHECK_FOR(code, is_reached(stable_codes[i].status));
    }
}

/* No payload has these keys, so no input leads here; it must fail closed even so. */
static void test_what_is_no_key_has_no_value(void)
{
    static const nitro_field fields[] = {F(DOCUMENT), F(PROTECTED), F(UNPROTECTED), F(PAYLOAD),
                                         F(SIGNATURE), F(KEY), F(UNKNOWN),
                                         (nitro_field)(NITRO_FIELD_LAST + 1)};
    for (size_t i = 0; i < COUNT(fields); i++) {
        cbor_reader r = cbor_reader_over((const uint8_t *)"\xF6", 1);
        nitro_payload out = {0};
        bool seen[FIELDS] = {false};
        CHECK(!read_value(&r, fields[i], &default_limits, &out, seen));
        CHECK(r.status == NITRO_ERR_UNKNOWN_KEY && r.position == 0 && r.error.found == 0);
    }
}

int main(int count, char **paths)
{
    test_envelope_errors();
    test_an_envelope_that_is_not_read_has_no_parts();
    test_envelopes_that_are_accepted();
    test_payload_errors();
    test_payloads_that_are_accepted();
    test_values_of_an_accepted_payload();
    test_values_of_indefinite_containers();
    test_unknown_fields_that_are_rejected();
    test_unknown_fields_that_are_skipped();
    test_an_unknown_value_is_skipped_whole_or_not();
    test_the_number_of_unknown_fields();
    test_any_order_of_keys();
    test_all_32_pcrs();
    test_null_arguments();
    test_oversized_input_is_not_read();
    test_the_largest_payload_is_read();
    test_limits();
    test_sample_documents();
    for (int i = 1; i < count; i++) {
        test_genuine_document(paths[i]);
    }
    test_take_near_the_largest_lengths();
    test_take_up_to_the_end();
    test_peek_and_take_if();
    test_the_first_error_sticks();
    test_integers();
    test_least_arguments();
    test_all_256_first_bytes_of_a_head();
    test_shortest_forms();
    test_strings_with_huge_lengths();
    test_a_value_is_read_whole_or_not();
    test_a_pcr_and_a_head_are_read_whole_or_not();
    test_a_key_is_read_whole_or_not();
    test_a_map_is_read_whole_or_not();
    test_utf8_of_every_code_point();
    test_utf8_reads_nothing_else();
    test_every_status_has_its_stable_code_and_a_case();
    test_what_is_no_key_has_no_value();
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
