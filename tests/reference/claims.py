"""Signatures, good and changed, for what checks signatures to be compared on."""

import hashlib
import random

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest.verification.certificate import SigningKey
from nitro_attest.verification.signature import P384_ORDER, SignatureClaim

N = P384_ORDER
EDGES = (0, 1, 2, N - 1, N, N + 1, 2**384 - 1)


def good_claims(seed, count):
    """Claims that hold, each of another key and another digest."""
    chooser = random.Random(seed)
    for _ in range(count):
        key = ec.derive_private_key(chooser.randrange(1, N), ec.SECP384R1())
        digest = hashlib.sha384(chooser.randbytes(32)).digest()
        signed = key.sign(digest, ec.ECDSA(Prehashed(SHA384()), deterministic_signing=True))
        yield SignatureClaim(
            signing_key(key.public_key()), encoded(*decode_dss_signature(signed)), digest
        )


def signing_key(key):
    """Returns the signing key that a certificate with this key would give."""
    return SigningKey(key, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def encoded(r, s):
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def decoded(signature):
    return int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")


def flipped(data, chooser):
    at = chooser.randrange(8 * len(data))
    return bytes(byte ^ (1 << at % 8) * (place == at // 8) for place, byte in enumerate(data))


def changed(claim, others, chooser):
    """The claim, or one close to it: s turned round, a bit flipped, an edge, another's part."""
    r, s = decoded(claim.signature)
    other = chooser.choice(others)
    return chooser.choice(
        [
            claim,
            claim._replace(signature=encoded(r, N - s)),
            claim._replace(signature=encoded(s, r)),
            claim._replace(signature=flipped(claim.signature, chooser)),
            claim._replace(digest=flipped(claim.digest, chooser)),
            claim._replace(signature=encoded(chooser.choice(EDGES), s)),
            claim._replace(signature=encoded(r, chooser.choice(EDGES))),
            claim._replace(signature=encoded(chooser.choice(EDGES), chooser.choice(EDGES))),
            claim._replace(digest=chooser.choice([bytes(48), b"\xff" * 48])),
            claim._replace(key=other.key),
            claim._replace(signature=other.signature),
        ]
    )
