"""A Nitro hypervisor that anybody can run: whole attestation documents under a root of its own."""

from __future__ import annotations

import difflib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_PCRS, PCR_BYTES
from nitro_attest.testing import registers
from nitro_attest.testing.cases import Case
from nitro_attest.testing.certificates import KeyRing
from nitro_attest.testing.draft import Draft, Kind, Options, finish
from nitro_attest.testing.faults import FAULTS
from nitro_attest.testing.pki import EPOCH, FakePki
from nitro_attest.testing.variants import VARIANTS

OPTIONAL_FIELDS: Final = frozenset({"public_key", "user_data", "nonce"})


class FakeNitro:
    """Makes attestation documents that verify under its own root, and under no other.

    Everything below the root has the form of the genuine thing, so a service that accepts these
    documents under ``root_pem`` accepts those of AWS under theirs. An object may be shared by
    threads.

    Args:
        seed: Any bytes. All keys, serial numbers and signatures follow from it, so that equal
            arguments give equal documents. None: random keys.
        region: AWS region in the certificates' names.
        instance_id: The parent instance, ``i-`` and 8 or 17 lower-case hexadecimal digits.
        enclave_id: 16 lower-case hexadecimal digits.
        govcloud_dates: Give the root the dates of the GovCloud root, whose notAfter is a
            GeneralizedTime, in place of the commercial one's.

    Attributes:
        root_der: The root certificate in DER.
        root_pem: The same as PEM, what ``nitro_attest.verify`` wants.
        module_id: ``module_id`` of the enclave documents.

    Raises:
        InputError: ``input.expected``: an argument is not of the form above.
    """

    def __init__(
        self,
        *,
        seed: bytes | None = None,
        region: str = "us-east-1",
        instance_id: str = "i-0abcdef0123456789",
        enclave_id: str = "019a5376999041b1",
        govcloud_dates: bool = False,
    ) -> None:
        _require("region", r"[a-z]{2}(-[a-z]+)+-\d", region)
        _require("instance_id", r"i-([0-9a-f]{8}|[0-9a-f]{17})", instance_id)
        _require("enclave_id", r"[0-9a-f]{16}", enclave_id)
        self._region = region
        self._instance_id = instance_id
        self._ring = KeyRing(
            secrets.token_bytes(32) if seed is None else seed, deterministic=seed is not None
        )
        self._pki = FakePki(
            self._ring, region=region, instance_id=instance_id, govcloud_dates=govcloud_dates
        )
        self.module_id = f"{instance_id}-enc{enclave_id}"
        self.root_der = self._pki.root.der
        root = x509.load_der_x509_certificate(self.root_der)
        self.root_pem = root.public_bytes(Encoding.PEM)

    def document(
        self,
        *,
        at: datetime | None = None,
        pcrs: Mapping[int, bytes] | None = None,
        debug: bool = False,
        kind: Kind = "enclave",
        nonce: bytes | None = None,
        user_data: bytes | None = None,
        public_key: bytes | None = None,
        absent: Collection[str] = (),
        indefinite: bool = True,
        tagged: bool = False,
        high_s: bool | None = None,
        fault: str | None = None,
        variant: str | None = None,
    ) -> bytes:
        """Makes one document.

        Args:
            at: When it is made, an aware datetime; None is now. The timestamp holds its
                milliseconds; the signing certificate starts 3 s earlier and lasts 3 h and 3 s.
            pcrs: PCR values of 48 bytes by index, added to the defaults or in their place. The
                defaults of an enclave are PCR0 to PCR15: 0 to 2 non-zero, 3 and 4 measuring the
                role and the instance, the rest zero.
            debug: Zero PCR0, PCR1 and PCR2, as debug mode does.
            kind: ``"enclave"``, or ``"nitrotpm"`` for an EC2 instance attestation document.
            nonce: Field of that name; None is written as null.
            user_data: As ``nonce``.
            public_key: As ``nonce``.
            absent: Which of these three to leave out instead of writing null.
            indefinite: Write the payload map as ``BF ... FF``, as documents have had it since
                mid-2025; False: with its count, as before.
            tagged: Put the COSE_Sign1 tag 18 in front.
            high_s: Force s of the signature above (True) or below (False) half of the order.
            fault: A key of ``FAULTS``: break this rule.
            variant: A key of ``VARIANTS``: take this unusual form.

        Returns:
            The document in its raw form, about 4.5 KB.

        Raises:
            InputError: ``input.time``: ``at`` is naive or outside of the years 1971 to 9998.
                ``input.expected``: another argument is outside of what is described here.
        """
        case = _case(fault, variant)
        options = Options(
            at=datetime.now(timezone.utc) if at is None else at,
            pcrs=pcrs or {},
            debug=debug,
            kind=kind,
            nonce=nonce,
            user_data=user_data,
            public_key=public_key,
            absent=absent,
            indefinite=indefinite,
            tagged=tagged,
            high_s=high_s,
        )
        options = replace(options, **case.document)
        _check(options)
        return finish(self._draft(options), case.edit)

    def _draft(self, options: Options) -> Draft:
        at = options.at.astimezone(timezone.utc)
        if options.kind == "enclave":
            module_id, pcrs = self.module_id, registers.enclave(self._instance_id)
        else:
            module_id, pcrs = f"{self._instance_id}-tpm{0:016x}", registers.nitrotpm()
        if options.debug:
            pcrs |= dict.fromkeys(registers.IMAGE, registers.ZERO)
        return Draft(
            options=options,
            ring=self._ring,
            region=self._region,
            instance_id=self._instance_id,
            module_id=module_id,
            timestamp=(at - EPOCH) // timedelta(milliseconds=1),
            pcrs=pcrs | dict(options.pcrs),
            path=list(self._pki.path(at, module_id)),
        )


def _case(fault: str | None, variant: str | None) -> Case:
    if fault is not None and variant is not None:
        raise InputError("input.expected", "give a fault or a variant, not both")
    if fault is not None:
        return _look_up("fault", FAULTS, fault)
    if variant is not None:
        return _look_up("variant", VARIANTS, variant)
    return Case()


def _look_up(what: str, cases: Mapping[str, Case], name: str) -> Case:
    if name not in cases:
        near = difflib.get_close_matches(name, cases, n=5, cutoff=0.4)
        hint = f"close to it: {', '.join(near)}" if near else "the names are the keys of its table"
        raise InputError("input.expected", f"there is no {what} named {name!r}; {hint}")
    return cases[name]


def _require(argument: str, pattern: str, value: str) -> None:
    if re.fullmatch(pattern, value, re.ASCII) is None:
        raise InputError("input.expected", f"{argument} {value!r} does not match {pattern}")


def _check(options: Options) -> None:
    if options.at.tzinfo is None:
        raise InputError("input.time", f"at {options.at} names no time zone")
    if not 1971 <= options.at.year <= 9998:
        raise InputError("input.time", f"at {options.at} is outside of the years 1971 to 9998")
    if options.kind not in ("enclave", "nitrotpm"):
        raise InputError("input.expected", f"kind {options.kind!r} is not enclave or nitrotpm")
    if options.debug and options.kind == "nitrotpm":
        raise InputError("input.expected", "debug mode is a mode of enclaves, not of instances")
    for index, value in options.pcrs.items():
        if not 0 <= index < MAX_PCRS or len(value) != PCR_BYTES:
            raise InputError(
                "input.expected", f"PCR{index} of {len(value)} bytes; 0 to 31 and 48 bytes expected"
            )
    given = {name for name in OPTIONAL_FIELDS if getattr(options, name) is not None}
    if not OPTIONAL_FIELDS - given >= set(options.absent):
        raise InputError(
            "input.expected", f"absent {sorted(options.absent)}: one is given or is not optional"
        )
