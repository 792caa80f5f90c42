"""Every size and count that decides what is accepted, with the rule that sets it.

The C core holds the sizes it enforces as macros of the same values in ``csrc/nitro_cose.h``; a
test compares the two.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "DEFAULT_CACHE_SIZE",
    "DEFAULT_CLOCK_SKEW_SECONDS",
    "DEFAULT_IMAGE_BYTES",
    "DEFAULT_OPTIONAL_BYTES",
    "MAX_CABUNDLE_CERTIFICATES",
    "MAX_CACHE_SIZE",
    "MAX_CERTIFICATE_BYTES",
    "MAX_CLOCK_SKEW_SECONDS",
    "MAX_CRLS",
    "MAX_CRL_BYTES",
    "MAX_CRL_NUMBER_OCTETS",
    "MAX_DOCUMENT_BYTES",
    "MAX_EIF_SECTIONS",
    "MAX_EIF_SIGNATURE_BYTES",
    "MAX_MODULE_ID_BYTES",
    "MAX_NONCE_BYTES",
    "MAX_NSM_REQUEST_BYTES",
    "MAX_OPTIONAL_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_PCRS",
    "MAX_PE_DIRECTORIES",
    "MAX_PE_SECTIONS",
    "MAX_PROVENANCE_BYTES",
    "MAX_PROVENANCE_SIGNATURES",
    "MAX_RECIPIENT_CIPHERTEXT_BYTES",
    "MAX_SERIAL_OCTETS",
    "MAX_TIMESTAMP_MS",
    "MAX_UNKNOWN_FIELDS",
    "MAX_WORKERS",
    "MIN_NONCE_BYTES",
    "NONCE_BYTES",
    "NSM_RESPONSE_BYTES",
    "PCR_BYTES",
    "SIGNATURE_BYTES",
]

MAX_DOCUMENT_BYTES: Final = 16384
"""C-2. Genuine documents have 4 to 8 KB; the NSM's largest answer is 12288 bytes."""

MAX_PAYLOAD_BYTES: Final = 16276
"""C-9. The maximum size of a document, less its 108 other bytes."""

SIGNATURE_BYTES: Final = 96
"""C-10. r and s of ECDSA P-384, 48 bytes each, big-endian (RFC 9053 section 2.1)."""

MAX_MODULE_ID_BYTES: Final = 256
"""P-12."""

MAX_TIMESTAMP_MS: Final = 253402300799999
"""P-14. 9999-12-31T23:59:59.999Z in milliseconds since 1970."""

MAX_UNKNOWN_FIELDS: Final = 16
"""P-7. With ``unknown_fields="warn"``."""

MAX_PCRS: Final = 32
"""P-15, P-16. PCR indices are 0 to 31."""

PCR_BYTES: Final = 48
"""P-17. One SHA-384 digest."""

MAX_CERTIFICATE_BYTES: Final = 1024
"""P-19, P-21."""

MAX_CRLS: Final = 64
"""R-1."""

MAX_CRL_NUMBER_OCTETS: Final = 20
"""R-4. RFC 5280 section 5.2.3."""

MAX_CRL_BYTES: Final = 64 * 2**20
"""R-1. A list of a million entries has about 40 MB."""

MAX_CABUNDLE_CERTIFICATES: Final = 8
"""P-20. AWS sends four."""

DEFAULT_OPTIONAL_BYTES: Final = 1024
"""P-22 to P-24. Default cap of public_key, user_data and nonce."""

MAX_OPTIONAL_BYTES: Final = 4096
"""P-22 to P-24. Maximum of these caps: the size of an NSM request."""

MAX_SERIAL_OCTETS: Final = 21
"""X-2. 20 octets and a sign octet."""

DEFAULT_CLOCK_SKEW_SECONDS: Final = 60
"""X-20. Default of the time that this machine's clock may be slow."""

MAX_CLOCK_SKEW_SECONDS: Final = 300
"""X-20."""

DEFAULT_CACHE_SIZE: Final = 1024
"""Verified certificate paths that a Verifier remembers: about 45 KiB each."""

MAX_CACHE_SIZE: Final = 65536
"""Maximum of ``cache_size``."""

MAX_WORKERS: Final = 64
"""Maximum of ``workers`` of ``verify_many``."""

MIN_NONCE_BYTES: Final = 16
"""A shorter expected nonce is reported as ``freshness.short_nonce``."""

NONCE_BYTES: Final = 32
"""Size of a nonce that this package makes."""

MAX_NONCE_BYTES: Final = 64
"""Maximum size of a nonce for the client and for the server in the enclave."""

MAX_NSM_REQUEST_BYTES: Final = 4096
"""N-1. The kernel rejects a longer request."""

NSM_RESPONSE_BYTES: Final = 12288
"""N-1. Always allocated in full: the kernel silently truncates an answer that does not fit."""

DEFAULT_IMAGE_BYTES: Final = 1 << 34
"""F-7, T-7. Default maximum size of an image file: 16 GiB, about a minute of hashing."""

MAX_EIF_SECTIONS: Final = 32
"""F-1."""

MAX_EIF_SIGNATURE_BYTES: Final = 32768
"""F-6."""

MAX_PE_SECTIONS: Final = 96
"""T-7. The limit of loaders according to the PE format; a unified kernel image has about 15."""

MAX_PE_DIRECTORIES: Final = 16
"""T-7. Data directories that the PE format defines; UEFI firmware rejects more."""

MAX_RECIPIENT_CIPHERTEXT_BYTES: Final = 6144
"""K-9. The largest CiphertextForRecipient that the KMS API describes."""

MAX_PROVENANCE_BYTES: Final = 1 << 20
"""V-1. A Sigstore bundle of a statement has about 12 KB."""

MAX_PROVENANCE_SIGNATURES: Final = 16
"""V-2."""
