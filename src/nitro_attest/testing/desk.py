"""Internal: the files of ``nitro-attest demo``, for the commands of the how-to pages.

The images, and all that is computed from them, are the same in every run. The root, the documents
and the revocation lists are made anew. Private keys are not among the files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest.measurements import measure, uki_measurements
from nitro_attest.testing.eif import build_eif, self_signed_certificate
from nitro_attest.testing.nitro import FakeNitro
from nitro_attest.testing.uki import build_uki

LIFETIME: Final = timedelta(hours=3)
"""The time for which the signing certificates of the documents are valid."""

_COMMANDS: Final = Path(__file__).with_name("desk_commands.sh")
"""The commands of the pages; tools/make_desk_commands.py writes this file."""

_PROGRESS: Final = (
    "Start building the Enclave Image...\n"
    "Using the locally available Docker image...\n"
    "Enclave Image successfully created.\n"
)
"""Progress lines that ``nitro-cli build-enclave`` prints before the measurements."""

_CONSOLE_KEY_POLICY: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}
"""The key policy that the AWS console writes by default."""

_README: Final = """\
`nitro-attest demo` made these files at {made}. None of them comes from AWS.

A fake hypervisor signed the documents under root.pem, a root of its own. No verifier trusts that
root unless you pass it, as in --root root.pem. Its private keys were never written, so nobody can
make more documents under it. Nothing here is secret.

The documents expire at {expires}. Then make a new folder, or add --at document.

Begin with

    . ./variables.sh
    nitro-attest verify doc.bin --root root.pem --eif app.eif --nonce "$NONCE"

The last command prints for each of the documents:

{documents}

The other files:

{others}
"""

_OTHER_FILES: Final = {
    "variables.sh": "sets NONCE, the challenge that the documents answer, and PCR0, PCR1, PCR2",
    "commands.sh": "the commands of the how-to pages, to run one by one",
    "root.pem": "the root of the fake hypervisor",
    "next-root.pem": "another root, and next-root.sha256 its fingerprint",
    "app.eif, app-2.eif": "enclave images: a version of an application, and the next one",
    "build.txt, build-2.txt": "what nitro-cli build-enclave prints for these images",
    "enclaves.json": "what nitro-cli describe-enclaves prints while both run",
    "policy.json": "a policy that accepts both images",
    "instance.efi": "the unified kernel image of the EC2 instance",
    "crls/": "current revocation lists",
    "revoked/": "the same lists, but the regional CA is revoked",
    "signer.pem": "a certificate that signs images",
    "app.intoto.json": "a statement of the measurements of app.eif, signed with a key",
    "builder.pem, other.pem": "that key, and a key that signed nothing",
    "key-policy.json": "the key policy that the AWS console writes by default",
}


class Sample(NamedTuple):
    """A document of the folder.

    Attributes:
        name: The file.
        result: ``VERIFIED``, or the code of the error, under the command in README.txt.
        about: How it was made.
        content: The document.
    """

    name: str
    result: str
    about: str
    content: bytes


def desk_files(made: datetime) -> dict[str, bytes]:
    """Makes the files.

    Args:
        made: Time at which the documents are made, with a time zone.

    Returns:
        The content of each file by its path in the folder.
    """
    nitro, next_nitro = FakeNitro(), FakeNitro(enclave_id="019a5376999041b2")
    nonce = secrets.token_bytes(16)
    images = {"app.eif": _image(b"RAMDISK-1"), "app-2.eif": _image(b"RAMDISK-2")}
    pcrs, next_pcrs = (measure(BytesIO(image)).measurements() for image in images.values())
    instance = build_uki()
    builder, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    samples = _documents(nitro, next_nitro, made, nonce, pcrs, next_pcrs, instance)
    enclaves = [
        _enclave("app_1", nitro.module_id, pcrs),
        _enclave("app_2", next_nitro.module_id, next_pcrs),
    ]
    return {
        "README.txt": _readme(made, samples).encode(),
        "variables.sh": _variables(nonce, pcrs).encode(),
        "commands.sh": _COMMANDS.read_bytes(),
        "root.pem": nitro.root_pem,
        "next-root.pem": next_nitro.root_pem,
        "next-root.sha256": f"{hashlib.sha256(next_nitro.root_der).hexdigest()}\n".encode(),
        **{sample.name: sample.content for sample in samples},
        **images,
        "instance.efi": instance,
        "build.txt": (_PROGRESS + _json({"Measurements": _printed(pcrs)})).encode(),
        "build-2.txt": (_PROGRESS + _json({"Measurements": _printed(next_pcrs)})).encode(),
        "enclaves.json": _json(enclaves).encode(),
        "policy.json": _json(_policy(pcrs, next_pcrs)).encode(),
        "crls/root.crl": nitro.revocation_list("root", at=made),
        "crls/regional.crl": nitro.revocation_list("regional", at=made),
        "revoked/root.crl": nitro.revocation_list("root", at=made, fault="R-7.key-compromise"),
        "revoked/regional.crl": nitro.revocation_list("regional", at=made),
        "signer.pem": self_signed_certificate(ec.derive_private_key(1, ec.SECP384R1())),
        "app.intoto.json": _signed_statement(images["app.eif"], pcrs, builder).encode(),
        "builder.pem": _public_pem(builder),
        "other.pem": _public_pem(other),
        "key-policy.json": _json(_CONSOLE_KEY_POLICY).encode(),
    }


def _image(application: bytes) -> bytes:
    return build_eif(
        kernel=b"KERNEL",
        cmdline=b"console=ttyS0",
        ramdisks=[b"RAMDISK-0", application],
        metadata={"ImageName": "demo", "BuildMetadata": {"BuildTime": "2026-01-01T00:00:00+00:00"}},
    )


def _documents(
    nitro: FakeNitro,
    next_nitro: FakeNitro,
    made: datetime,
    nonce: bytes,
    pcrs: Mapping[int, bytes],
    next_pcrs: Mapping[int, bytes],
    instance: bytes,
) -> list[Sample]:
    usual: dict[str, Any] = {"at": made, "nonce": nonce, "pcrs": pcrs}
    document = nitro.document(**usual)
    return [
        Sample("doc.bin", "VERIFIED", "from an enclave that runs app.eif", document),
        Sample(
            "other-image.bin",
            "policy.pcr_mismatch",
            "from an enclave that runs app-2.eif",
            nitro.document(**usual | {"pcrs": next_pcrs}),
        ),
        Sample(
            "other-nonce.bin",
            "policy.nonce",
            "answers a different challenge",
            nitro.document(**usual | {"nonce": secrets.token_bytes(16)}),
        ),
        Sample(
            "debug.bin",
            "policy.debug",
            "from an enclave in debug mode",
            nitro.document(at=made, nonce=nonce, debug=True),
        ),
        Sample(
            "expired.bin",
            "cert.expired",
            "made 4 hours earlier",
            nitro.document(**usual | {"at": made - timedelta(hours=4)}),
        ),
        Sample(
            "forged.bin",
            "signature.invalid",
            "changed after it was signed",
            nitro.document(**usual, fault="C-16.payload-swapped"),
        ),
        Sample("truncated.bin", "cbor.truncated", "without its last byte", document[:-1]),
        Sample(
            "next-root.bin",
            "chain.untrusted_root",
            "signed under next-root.pem",
            next_nitro.document(**usual),
        ),
        Sample(
            "instance.bin",
            "payload.kind",
            "from an EC2 instance (NitroTPM) that runs instance.efi",
            nitro.document(
                **usual | {"pcrs": uki_measurements(BytesIO(instance)).measurements()},
                kind="nitrotpm",
            ),
        ),
    ]


def _readme(made: datetime, samples: list[Sample]) -> str:
    return _README.format(
        made=_time(made),
        expires=_time(made + LIFETIME),
        documents="\n".join(f"    {s.name:<16} {s.result:<21} {s.about}" for s in samples),
        others="\n".join(f"    {name:<23} {about}" for name, about in _OTHER_FILES.items()),
    )


def _time(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")


def _variables(nonce: bytes, pcrs: Mapping[int, bytes]) -> str:
    values = {"NONCE": nonce} | {f"PCR{index}": value for index, value in pcrs.items()}
    return "".join(f"export {name}={value.hex()}\n" for name, value in values.items())


def _printed(pcrs: Mapping[int, bytes]) -> dict[str, str]:
    """Returns the measurements of an image in the form of nitro-cli."""
    values = {f"PCR{index}": value.hex() for index, value in pcrs.items()}
    return {"HashAlgorithm": "Sha384 { ... }"} | values


def _enclave(name: str, module_id: str, pcrs: Mapping[int, bytes]) -> dict[str, Any]:
    """Describes a running enclave in the form of ``nitro-cli describe-enclaves``."""
    return {
        "EnclaveName": name,
        "EnclaveID": module_id,
        "ProcessID": 4100,
        "EnclaveCID": 16,
        "NumberOfCPUs": 2,
        "CPUIDs": [1, 3],
        "MemoryMiB": 512,
        "State": "RUNNING",
        "Flags": "NONE",
        "Measurements": _printed(pcrs),
    }


def _policy(pcrs: Mapping[int, bytes], next_pcrs: Mapping[int, bytes]) -> dict[str, Any]:
    return {
        "schema": "nitro-attest-policy/1",
        "measurements": [
            {"name": name, "pcrs": {f"PCR{index}": value.hex() for index, value in each.items()}}
            for name, each in {"v1.4.2": pcrs, "v1.4.3": next_pcrs}.items()
        ],
        "max_age_seconds": int(LIFETIME.total_seconds()),
        "require_nonce": True,
        "regions": ["eu-central-1", "us-east-1"],
    }


def _signed_statement(
    image: bytes, pcrs: Mapping[int, bytes], key: ec.EllipticCurvePrivateKey
) -> str:
    """Returns a statement of the measurements of an image, in a DSSE envelope (V-2)."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app.eif", "digest": {"sha256": hashlib.sha256(image).hexdigest()}}],
        "predicateType": "https://nitro-attest.readthedocs.io/enclave-measurements/v1",
        "predicate": {
            "hashAlgorithm": "SHA384",
            "pcrs": {str(index): value.hex() for index, value in pcrs.items()},
        },
    }
    payload = json.dumps(statement).encode()
    kind = b"application/vnd.in-toto+json"
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    return _json(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind.decode(),
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        }
    )


def _public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
