"""Two independent verifiers of certificate chains: the path engine of cryptography and OpenSSL.

The package uses neither. Where they differ from it, the difference names one of our rules.
"""

import re
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
)

# The rules whose violations another engine accepts, and the reason.
ENGINE_DOES_NOT_CHECK = {
    "X-2": "any serial number will do",
    "X-3": "the bundle is a bag",
    "X-4": "a root is its name and key, not its bytes",
    "X-5": "the root need not be sent",
    "X-6": "the bundle is a bag",
    "X-9": "other algorithms and forms of keys are known",
    "X-10": "fractions of a second are dropped",
    "X-12": "further critical extensions are understood",
    "X-18": "the bundle is a bag",
    "X-19": "key identifiers are hints",
}
OPENSSL_DOES_NOT_CHECK = {
    rule: why for rule, why in ENGINE_DOES_NOT_CHECK.items() if rule not in ("X-10", "X-19")
} | {
    "X-1": "versions, trailing bytes and names of no use here are not looked at",
    "X-13": "an unknown extension may stand twice",
    "X-14": "basicConstraints need not be critical",
    "X-7": "names are compared without case and string type, and may be empty",
    "X-15": "keyUsage may be missing",
    "X-17": "no purpose of the last certificate was asked for",
}


def engine_accepts(cabundle, leaf, root, at):
    """Checks a chain with policies that fit AWS certificates; the engine ignores their order."""

    def needs(extension, attribute):
        def check(_policy, _certificate, value):
            if not getattr(value, attribute):
                raise ValueError(f"{extension} without {attribute}")

        return check

    def not_ca(_policy, _certificate, value):
        if value.ca:
            raise ValueError("a CA")

    anything = ExtensionPolicy.permit_all()
    authorities = anything.require_present(
        x509.BasicConstraints, Criticality.CRITICAL, needs("basicConstraints", "ca")
    ).require_present(x509.KeyUsage, Criticality.AGNOSTIC, needs("keyUsage", "key_cert_sign"))
    leaves = anything.require_present(
        x509.BasicConstraints, Criticality.CRITICAL, not_ca
    ).require_present(x509.KeyUsage, Criticality.AGNOSTIC, needs("keyUsage", "digital_signature"))
    try:
        verifier = (
            PolicyBuilder()
            .store(Store([root]))
            .time(at.replace(tzinfo=None))
            .max_chain_depth(8)
            .extension_policies(ca_policy=authorities, ee_policy=leaves)
            .build_client_verifier()
        )
        verifier.verify(
            x509.load_der_x509_certificate(leaf),
            [x509.load_der_x509_certificate(der) for der in cabundle],
        )
    except Exception:  # hostile certificates make the library raise more than it documents
        return False
    return True


def openssl_errors(folder, cabundle, leaf, root, at, *, strict=False):
    """The errors of `openssl verify`, as "number at depth"; empty if it accepts the chain."""
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (folder / "bundle.pem").write_text("".join(map(ssl.DER_cert_to_PEM_cert, cabundle)))
    (folder / "leaf.pem").write_text(ssl.DER_cert_to_PEM_cert(leaf))
    command = ["openssl", "verify", "-attime", str(int(at.timestamp()))]
    command += ["-x509_strict"] if strict else []
    command += ["-no-CAfile", "-no-CApath", "-no-CAstore", "-trusted", folder / "root.pem"]
    command += ["-untrusted", folder / "bundle.pem", folder / "leaf.pem"]
    run = subprocess.run(command, capture_output=True, check=False)
    if run.returncode == 0:
        return []
    return re.findall(r"^error (\d+ at \d+) ", run.stderr.decode(), re.M) or ["unreadable"]


def openssl_accepts(folder, cabundle, leaf, root, at):
    return not openssl_errors(folder, cabundle, leaf, root, at)
