/* An example: checks the shape of a document, its chain, its signature and most of the policy, with
 * OpenSSL and libcbor. It accepts many documents that a verifier must reject, so do not use it in production. */
#define _GNU_SOURCE /* timegm */
#include "harness.h"

#include <cbor.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_PATH = 16, SIGNATURE_SIZE = 96 };

static const uint8_t ES384[] = {0xa1, 0x01, 0x38, 0x22}; /* {1: -35} */

/* The parts of a document; they belong to the two CBOR items. */
struct message {
    const cbor_item_t *header, *payload, *signature;
    const cbor_item_t *fields, *pcrs, *bundle, *certificate;
    int64_t timestamp;
};

static bool reject(struct answer *answer, const char *code, const char *message)
{
    answer->result = REJECT;
    snprintf(answer->code, sizeof answer->code, "%s", code);
    snprintf(answer->message, sizeof answer->message, "%s", message);
    return false;
}

static void unsupported(struct answer *answer, const char *feature)
{
    reject(answer, "", feature);
    answer->result = UNSUPPORTED;
}

/* ---- CBOR */

static bool is_bytes(const cbor_item_t *item)
{
    return item != NULL && cbor_isa_bytestring(item) && cbor_bytestring_is_definite(item);
}

static bool is_text(const cbor_item_t *item, const char *text)
{
    return item != NULL && cbor_isa_string(item) && cbor_string_is_definite(item) &&
           cbor_string_length(item) == strlen(text) &&
           memcmp(cbor_string_handle(item), text, strlen(text)) == 0;
}

/* Returns one item that fills all of the bytes, or NULL. */
static cbor_item_t *decode(const uint8_t *data, size_t size)
{
    struct cbor_load_result result;
    cbor_item_t *item = cbor_load(data, size, &result);

    if (item != NULL && result.read != size)
        cbor_decref(&item);
    return item;
}

/* Returns the value of a text key, or NULL if it is absent or appears twice. */
static const cbor_item_t *field(const cbor_item_t *map, const char *name)
{
    const struct cbor_pair *pairs = cbor_map_handle(map);
    const cbor_item_t *found = NULL;

    for (size_t index = 0; index < cbor_map_size(map); index++)
        if (is_text(pairs[index].key, name)) {
            if (found != NULL)
                return NULL;
            found = pairs[index].value;
        }
    return found;
}

static const cbor_item_t *pcr(const struct message *message, uint64_t number)
{
    const struct cbor_pair *pairs = cbor_map_handle(message->pcrs);

    for (size_t index = 0; index < cbor_map_size(message->pcrs); index++)
        if (cbor_isa_uint(pairs[index].key) && cbor_get_int(pairs[index].key) == number)
            return pairs[index].value;
    return NULL;
}

static bool parse_outer(const cbor_item_t *outer, struct message *message)
{
    cbor_item_t **parts;

    if (!cbor_isa_array(outer) || cbor_array_size(outer) != 4)
        return false;
    parts = cbor_array_handle(outer);
    message->header = parts[0];
    message->payload = parts[2];
    message->signature = parts[3];
    return is_bytes(parts[0]) && cbor_bytestring_length(parts[0]) == sizeof ES384 &&
           memcmp(cbor_bytestring_handle(parts[0]), ES384, sizeof ES384) == 0 &&
           cbor_isa_map(parts[1]) && cbor_map_size(parts[1]) == 0 && is_bytes(parts[2]) &&
           is_bytes(parts[3]) && cbor_bytestring_length(parts[3]) == SIGNATURE_SIZE;
}

static bool parse_payload(const cbor_item_t *payload, struct message *message)
{
    const cbor_item_t *timestamp;

    if (!cbor_isa_map(payload))
        return false;
    message->fields = payload;
    message->pcrs = field(payload, "pcrs");
    message->bundle = field(payload, "cabundle");
    message->certificate = field(payload, "certificate");
    timestamp = field(payload, "timestamp");
    if (!is_text(field(payload, "digest"), "SHA384") || message->pcrs == NULL ||
        !cbor_isa_map(message->pcrs) || message->bundle == NULL ||
        !cbor_isa_array(message->bundle) || !is_bytes(message->certificate) || timestamp == NULL ||
        !cbor_isa_uint(timestamp))
        return false;
    message->timestamp = (int64_t)cbor_get_int(timestamp);
    return true;
}

/* ---- The chain */

static int64_t milliseconds(const ASN1_TIME *time)
{
    struct tm parts;

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000 : INT64_MIN;
}

static X509 *certificate(const cbor_item_t *item)
{
    const uint8_t *data;

    if (!is_bytes(item))
        return NULL;
    data = cbor_bytestring_handle(item);
    return d2i_X509(NULL, &data, (long)cbor_bytestring_length(item));
}

static const char *check_issued(X509 *subject, X509 *issuer, bool is_leaf, int64_t at)
{
    int64_t from = milliseconds(X509_get0_notBefore(subject));
    int64_t to = milliseconds(X509_get0_notAfter(subject));

    if (X509_check_issued(issuer, subject) != X509_V_OK)
        return "a certificate has another issuer";
    if (X509_verify(subject, X509_get0_pubkey(issuer)) != 1)
        return "the signature of a certificate is not by its issuer";
    if (from == INT64_MIN || to == INT64_MIN || at < from || to < at)
        return "a certificate is not valid at the time";
    if ((X509_check_ca(subject) == 1) == is_leaf)
        return "a certificate is no CA, or the signing certificate is one";
    return NULL;
}

/* Checks path[0] to path[count - 1], from the root to the signing certificate. */
static const char *check_path(X509 *const path[], size_t count, X509 *root, int64_t at)
{
    char curve[32] = "";
    const char *error = NULL;

    for (size_t index = 0; index < count; index++)
        if (path[index] == NULL)
            return "a certificate cannot be read";
    if (X509_cmp(path[0], root) != 0)
        return "the first certificate is not the trusted root";
    for (size_t index = 0; index < count && error == NULL; index++)
        error = check_issued(path[index], path[index ? index - 1 : 0], index == count - 1, at);
    if (error == NULL &&
        (X509_get0_pubkey(path[count - 1]) == NULL ||
         EVP_PKEY_get_group_name(X509_get0_pubkey(path[count - 1]), curve, sizeof curve, NULL) != 1 ||
         strcmp(curve, "secp384r1") != 0))
        error = "the key of the signing certificate is not P-384";
    return error;
}

/* Returns the key of the signing certificate, or NULL and the reason. */
static EVP_PKEY *verify_chain(const struct message *message, const char *pem, int64_t at,
                              const char **error)
{
    BIO *file = BIO_new_mem_buf(pem, -1);
    X509 *root = PEM_read_bio_X509(file, NULL, NULL, NULL);
    X509 *path[MAX_PATH + 1] = {NULL};
    size_t count = cbor_array_size(message->bundle);
    EVP_PKEY *key = NULL;

    if (root == NULL)
        abort(); /* the suite's own */
    if (count > MAX_PATH) {
        *error = "too many certificates";
    } else {
        for (size_t index = 0; index < count; index++)
            path[index] = certificate(cbor_array_handle(message->bundle)[index]);
        path[count] = certificate(message->certificate);
        *error = check_path(path, count + 1, root, at);
        if (*error == NULL)
            key = X509_get_pubkey(path[count]);
        for (size_t index = 0; index <= count; index++)
            X509_free(path[index]);
    }
    X509_free(root);
    BIO_free(file);
    return key;
}

/* ---- The signature of a COSE_Sign1 message (RFC 9052, section 4.4) */

static void hash_bytes(EVP_MD_CTX *hash, const cbor_item_t *part)
{
    size_t size = cbor_bytestring_length(part);
    uint8_t head[9]; /* the longest of a byte string */

    EVP_DigestVerifyUpdate(hash, head, cbor_encode_bytestring_start(size, head, sizeof head));
    EVP_DigestVerifyUpdate(hash, cbor_bytestring_handle(part), size);
}

static bool is_signed_by(const struct message *message, EVP_PKEY *key)
{
    static const uint8_t context[] = "\x84\x6aSignature1", empty[] = {0x40};
    const uint8_t *numbers = cbor_bytestring_handle(message->signature);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    ECDSA_SIG *signature = ECDSA_SIG_new();
    uint8_t *der = NULL;
    int size, valid;

    ECDSA_SIG_set0(signature, BN_bin2bn(numbers, SIGNATURE_SIZE / 2, NULL),
                   BN_bin2bn(numbers + SIGNATURE_SIZE / 2, SIGNATURE_SIZE / 2, NULL));
    size = i2d_ECDSA_SIG(signature, &der);
    EVP_DigestVerifyInit(hash, NULL, EVP_sha384(), NULL, key);
    EVP_DigestVerifyUpdate(hash, context, sizeof context - 1);
    hash_bytes(hash, message->header);
    EVP_DigestVerifyUpdate(hash, empty, sizeof empty);
    hash_bytes(hash, message->payload);
    valid = EVP_DigestVerifyFinal(hash, der, (size_t)size);
    OPENSSL_free(der);
    ECDSA_SIG_free(signature);
    EVP_MD_CTX_free(hash);
    ERR_clear_error();
    return valid == 1;
}

/* ---- The policy */

static bool equals_hex(const cbor_item_t *found, const char *expected)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes;

    if (!is_bytes(found) || strlen(expected) != 2 * cbor_bytestring_length(found))
        return false;
    bytes = cbor_bytestring_handle(found);
    for (size_t index = 0; expected[index] != '\0'; index++)
        if (expected[index] != digits[index % 2 ? bytes[index / 2] & 15 : bytes[index / 2] >> 4])
            return false;
    return true;
}

static bool is_zero(const cbor_item_t *value)
{
    if (!is_bytes(value))
        return true;
    for (size_t index = 0; index < cbor_bytestring_length(value); index++)
        if (cbor_bytestring_handle(value)[index] != 0)
            return false;
    return true;
}

static bool matches(const struct message *message, json_t *allowed)
{
    const char *number;
    json_t *value;

    json_object_foreach (allowed, number, value)
        if (!equals_hex(pcr(message, strtoul(number, NULL, 10)), json_string_value(value)))
            return false;
    return true;
}

static const char *check_policy(const struct message *message, const json_t *policy)
{
    static const char *const names[] = {"nonce", "user_data", "public_key"};
    const json_t *sets = json_object_get(policy, "pcrs");

    for (size_t index = 0; index < 3; index++) {
        const json_t *expected = json_object_get(policy, names[index]);
        if (json_is_string(expected) &&
            !equals_hex(field(message->fields, names[index]), json_string_value(expected)))
            return names[index];
    }
    for (uint64_t index = 0; index < 3; index++)
        if (!json_is_true(json_object_get(policy, "allow_debug")) && is_zero(pcr(message, index)))
            return "debug mode";
    for (size_t index = 0; index < json_array_size(sets); index++)
        if (matches(message, json_array_get(sets, index)))
            return NULL;
    return json_array_size(sets) > 0 ? "PCR mismatch" : NULL;
}

static bool check(const struct message *message, const char *root, int64_t at,
                  const json_t *policy, struct answer *answer)
{
    const char *error;
    EVP_PKEY *key = verify_chain(message, root, at, &error);
    bool is_signed;

    ERR_clear_error();
    if (key == NULL)
        return reject(answer, "chain", error);
    is_signed = is_signed_by(message, key);
    EVP_PKEY_free(key);
    if (!is_signed)
        return reject(answer, "signature", "the signature is not by the key of the certificate");
    error = check_policy(message, policy);
    if (error != NULL)
        return reject(answer, "policy", error);
    answer->result = ACCEPT;
    return true;
}

void verify(const uint8_t *document, size_t size, const char *root, int64_t time,
            const json_t *policy, struct answer *answer)
{
    struct message message;
    bool tagged = size > 0 && document[0] == 0xd2; /* tag 18 is optional */
    cbor_item_t *outer, *payload = NULL;

    if (strcmp(json_string_value(json_object_get(policy, "kind")), "enclave") != 0) {
        unsupported(answer, "nitrotpm");
        return;
    }
    if (!json_is_null(json_object_get(policy, "max_age_ms"))) {
        unsupported(answer, "max-age");
        return;
    }
    if (json_integer_value(json_object_get(policy, "clock_skew_ms")) != 0) {
        unsupported(answer, "clock-skew");
        return;
    }
    outer = decode(document + tagged, size - tagged);
    if (outer != NULL && parse_outer(outer, &message))
        payload = decode(cbor_bytestring_handle(message.payload),
                         cbor_bytestring_length(message.payload));
    if (payload == NULL || !parse_payload(payload, &message))
        reject(answer, "document", "not a COSE_Sign1 message with the fields of a document");
    else
        check(&message, root, time == DOCUMENT_TIME ? message.timestamp : time, policy, answer);
    if (payload != NULL)
        cbor_decref(&payload);
    if (outer != NULL)
        cbor_decref(&outer);
}
