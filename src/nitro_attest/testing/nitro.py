"""A fake Nitro hypervisor, which makes complete attestation documents under its own root."""

from __future__ import annotations

import difflib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Final, Literal, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_PCRS, PCR_BYTES
from nitro_attest.testing import registers
from nitro_attest.testing.cases import Case
from nitro_attest.testing.certificates import KeyRing
from nitro_attest.testing.draft import Draft, Kind, Options, contradiction, finish
from nitro_attest.testing.faults import FAULTS
from nitro_attest.testing.faults.revocation import LIST_FAULTS, Covered
from nitro_attest.testing.pki import EPOCH, FakePki, crl_address
from nitro_attest.testing.revocation import ListForm, Revoked, crl_number
from nitro_attest.testing.variants import VARIANTS

__all__ = ["FakeNitro"]

_CaseT = TypeVar("_CaseT")

_COVERED_BY: Final = {
    "root": "regional",
    "regional": "zonal",
    "zonal": "instance",
    "instance": "leaf",
}
"""The certificate that the list of each CA covers."""

OPTIONAL_FIELDS: Final = frozenset({"public_key", "user_data", "nonce"})
_DEFAULTS: Final = Options(at=EPOCH)
_HEX: Final = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)")


class FakeNitro:
    """Makes attestation documents that verify under its own root, and under no other.

    Documents and certificates have the form of genuine ones, so a service that accepts these
    documents under ``root_pem`` accepts those of AWS under the AWS root. Thread-safe.

    Args:
        seed: Any bytes or hex, from which all keys, serial numbers and signatures are derived:
            equal arguments then give equal documents. None: random keys.
        region: AWS region in the names of the certificates.
        partition: AWS partition in the names of the certificates. Any other than ``aws`` also
            names the root, so that the verifier compares the names for that partition (X-24); its
            organizational unit is then FAKE-NOT-AWS.
        instance_id: The parent instance, ``i-`` and 8 or 17 lower-case hex digits.
        enclave_id: 16 lower-case hex digits.
        govcloud_dates: Use the validity of the GovCloud root, whose notAfter is a
            GeneralizedTime, instead of that of the commercial root.

    Attributes:
        root_der: The root certificate in DER.
        root_pem: The root certificate in PEM, for ``nitro_attest.verify``.
        module_id: ``module_id`` of the enclave documents.

    Raises:
        InputError: ``input.expected``: an argument does not have the form above.

    Example:
        >>> import nitro_attest
        >>> from nitro_attest.testing import FakeNitro
        >>> nitro = FakeNitro(region="eu-central-1")
        >>> document = nitro.document(pcrs={0: "ab" * 48})
        >>> attestation = nitro_attest.verify(document, nitro.root_pem, policy={0: "ab" * 48})
        >>> attestation.region
        'eu-central-1'
    """

    def __init__(
        self,
        *,
        seed: bytes | str | None = None,
        region: str = "us-east-1",
        partition: str = "aws",
        instance_id: str = "i-0abcdef0123456789",
        enclave_id: str = "019a5376999041b1",
        govcloud_dates: bool = False,
    ) -> None:
        _require("region", r"[a-z]{2}(-[a-z]+)+-\d", region)
        _require("partition", r"aws(-[a-z0-9]+)*", partition)
        _require("instance_id", r"i-([0-9a-f]{8}|[0-9a-f]{17})", instance_id)
        _require("enclave_id", r"[0-9a-f]{16}", enclave_id)
        self._region = region
        self._instance_id = instance_id
        self._ring = KeyRing(
            secrets.token_bytes(32) if seed is None else _octets("seed", seed),
            deterministic=seed is not None,
        )
        self._pki = FakePki(
            self._ring,
            region=region,
            instance_id=instance_id,
            partition=partition,
            govcloud_dates=govcloud_dates,
        )
        self.module_id = f"{instance_id}-enc{enclave_id}"
        self.root_der = self._pki.root.der
        root = x509.load_der_x509_certificate(self.root_der)
        self.root_pem = root.public_bytes(Encoding.PEM)

    def document(
        self,
        *,
        at: datetime | None = None,
        pcrs: Mapping[int, bytes | str] | None = None,
        debug: bool = False,
        kind: Kind = "enclave",
        nonce: bytes | str | None = None,
        user_data: bytes | str | None = None,
        public_key: bytes | str | None = None,
        absent: Collection[str] = (),
        indefinite: bool = True,
        tagged: bool = False,
        high_s: bool | None = None,
        fault: str | None = None,
        variant: str | None = None,
    ) -> bytes:
        """Makes one document.

        Args:
            at: Time at which the document is made, with a time zone. None: now, or as long ago as
                ``at_shift`` of the fault or variant, so that it shows now. The timestamp has its
                milliseconds. The signing certificate is valid from 3 s before this time for
                3 h and 3 s, so a document made 4 hours ago has expired.
            pcrs: PCR values by index, 48 bytes or 96 hex digits each, which are added to the
                default values or replace them. An enclave has PCR0 to PCR15 by default: 0 to 2
                non-zero, 3 and 4 measuring the role and the instance, the rest zero.
            debug: Set PCR0, PCR1 and PCR2 to zeros, as debug mode does. This breaks M-2, so it
                contradicts every other fault and every variant.
            kind: ``"enclave"``, or ``"nitrotpm"`` for the document of an EC2 instance.
            nonce: Content of the field, as bytes or hex; None is written as null. Verifiers accept
                at most 1024 bytes by default.
            user_data: The same for this field.
            public_key: The same for this field.
            absent: Names among these three fields to omit instead of writing null.
            indefinite: True: write the payload map as ``BF ... FF``, as documents since mid-2025
                do. False: write it with its count, as before.
            tagged: Write the COSE_Sign1 tag 18 first.
            high_s: Force s of the signature above (True) or below (False) half of the order.
            fault: A key of ``FAULTS``: break this rule. The other arguments apply too, unless the
                fault replaces the whole payload.
            variant: A key of ``VARIANTS``: use this unusual form.

        Returns:
            The raw document, about 4.5 KB.

        Raises:
            InputError: ``input.time``: ``at`` has no time zone or is outside the years 1971 to
                9998. ``input.expected``: an argument is outside the values described here, or
                contradicts ``debug``, ``fault`` or ``variant``: the document could not show both.

        Example:
            >>> from nitro_attest import PolicyError, verify
            >>> document = nitro.document(debug=True)
            >>> try:
            ...     verify(document, root_pem)
            ... except PolicyError as error:
            ...     error.code
            'policy.debug'
        """
        case = _case(fault, variant)
        options = Options(
            at=datetime.now(timezone.utc) - case.at_shift if at is None else at,
            pcrs=_pcrs(pcrs),
            debug=debug,
            kind=kind,
            nonce=None if nonce is None else _octets("nonce", nonce),
            user_data=None if user_data is None else _octets("user_data", user_data),
            public_key=None if public_key is None else _octets("public_key", public_key),
            absent=_absent(absent),
            indefinite=indefinite,
            tagged=tagged,
            high_s=high_s,
        )
        _check_types(options)
        options = _with_arguments(options, case)
        _check(options)
        return finish(self._draft(options), case.edit)

    def revocation_list(
        self,
        issuer: Literal["root", "regional", "zonal", "instance"],
        *,
        at: datetime | None = None,
        revoked: Mapping[int, x509.ReasonFlags | None] | None = None,
        revoked_at: datetime | None = None,
        number: int = 1,
        fault: str | None = None,
    ) -> bytes:
        """Makes the revocation list (CRL) of a CA, valid for 7 days.

        Args:
            issuer: The CA. Its list covers the next certificate of a document; of these, only the
                regional and the zonal CA name a list.
            at: Time of issue, with a time zone; None: now. The CAs are those of a document that is
                made at the same time.
            revoked: The reason of each revocation by serial number; None: no reason is given.
            revoked_at: Time of the revocations; None: the time of issue.
            number: The CRLNumber.
            fault: A key of ``LIST_FAULTS``: break this rule, or revoke the covered certificate.

        Returns:
            The list in DER.

        Raises:
            InputError: ``input.time``: a time has no time zone or is outside the years 1971 to
                9998. ``input.expected``: ``issuer`` or ``fault`` is unknown.

        Example:
            >>> from nitro_attest import RevocationLists
            >>> lists = [nitro.revocation_list(issuer) for issuer in ("root", "regional")]
            >>> len(list(RevocationLists(*lists)))
            2
        """
        if issuer not in _COVERED_BY:
            raise InputError(
                "input.expected",
                f"issuer: expected {' or '.join(_COVERED_BY)}, found {issuer!r}",
            )
        issued = datetime.now(timezone.utc) if at is None else at
        when = issued if revoked_at is None else revoked_at
        for moment in (issued, when):
            _check(Options(at=moment))
        form, about = self._list_form(issuer, issued)
        form = replace(
            form,
            revoked=tuple(
                Revoked.because(serial, when, reason) for serial, reason in (revoked or {}).items()
            ),
            extensions=(crl_number(number),),
        )
        if fault is not None:
            form = _look_up("fault", LIST_FAULTS, fault).edit(form, about)
        return form.der

    def _list_form(self, issuer: str, issued: datetime) -> tuple[ListForm, Covered]:
        """An ordinary list, and the certificate that it covers."""
        position = list(_COVERED_BY).index(issuer)
        ca, covered = self._pki.path(issued, self.module_id)[position : position + 2]
        form = ListForm(
            issuer=ca.subject,
            signer=ca.key,
            stranger=self._ring.key("stranger"),
            this_update=issued,
            next_update=issued + timedelta(days=7),
        )
        return form, Covered(int(covered.serial), crl_address(_COVERED_BY[issuer]))

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
        raise InputError("input.expected", "fault= and variant= cannot be combined")
    if fault is not None:
        return _look_up("fault", FAULTS, fault)
    if variant is not None:
        return _look_up("variant", VARIANTS, variant)
    return Case()


def _look_up(what: str, cases: Mapping[str, _CaseT], name: str) -> _CaseT:
    if not isinstance(name, str):
        raise InputError("input.expected", f"expected a name of {what.upper()}S, found {name!r}")
    if name not in cases:
        near = _similar(name, cases)
        hint = f"similar names: {', '.join(near)}" if near else f"see {what.upper()}S"
        raise InputError("input.expected", f"unknown {what} {name!r}; {hint}")
    return cases[name]


def _similar(name: str, cases: Collection[str]) -> list[str]:
    """Returns up to five names: those of the same rule if there are any, the closest first."""
    rule = name.partition(".")[0].lower()
    of_rule = [case for case in cases if case.partition(".")[0].lower() == rule]
    return difflib.get_close_matches(name, of_rule or cases, n=5, cutoff=0 if of_rule else 0.4)


def _with_arguments(options: Options, case: Case) -> Options:
    """Adds the arguments that a fault or variant needs to those of the caller."""
    needed = dict(case.document)
    pcrs = needed.pop("pcrs", {})
    absent = needed.pop("absent", ())
    for name, value in needed.items():
        given = getattr(options, name)
        if given not in (value, getattr(_DEFAULTS, name)):
            raise contradiction(f"{name}={given!r}")
    if options.debug and case != Case() and "debug" not in needed:
        raise contradiction("debug=True")
    for index, value in options.pcrs.items():
        if index in case.verify.get("policy", {}) or value != pcrs.get(index, value):
            raise contradiction(f"the value of PCR{index}")
    return replace(
        options,
        **needed,
        pcrs={**options.pcrs, **pcrs},
        absent=frozenset(options.absent) | frozenset(absent),
    )


def _octets(argument: str, value: bytes | str) -> bytes:
    if isinstance(value, str) and (digits := _HEX.fullmatch(value)):
        return bytes.fromhex(digits[1])
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise InputError("input.expected", f"expected {argument} as bytes or hex, found {value!r}")


def _pcrs(given: Mapping[int, bytes | str] | None) -> dict[int, bytes]:
    if not isinstance(given, Mapping | None):
        raise InputError("input.expected", f"expected a mapping of PCRs, found {given!r}")
    return {index: _pcr(index, value) for index, value in (given or {}).items()}


def _pcr(index: int, value: bytes | str) -> bytes:
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < MAX_PCRS:
        raise InputError(
            "input.expected", f"expected a PCR index from 0 to {MAX_PCRS - 1}, found {index!r}"
        )
    register = _octets(f"PCR{index}", value)
    if len(register) != PCR_BYTES:
        raise InputError(
            "input.expected",
            f"expected PCR{index} as {PCR_BYTES} bytes or {2 * PCR_BYTES} hex digits, "
            f"found {len(register)} bytes",
        )
    return register


def _absent(names: Collection[str]) -> frozenset[str]:
    allowed = sorted(OPTIONAL_FIELDS)
    if not isinstance(names, Collection) or any(name not in allowed for name in names):
        raise InputError(
            "input.expected", f"expected absent as names among {allowed}, found {names!r}"
        )
    return frozenset(names)


def _require(argument: str, pattern: str, value: str) -> None:
    if not isinstance(value, str) or re.fullmatch(pattern, value, re.ASCII) is None:
        raise InputError("input.expected", f"expected {argument} as {pattern}, found {value!r}")


def _check_types(options: Options) -> None:
    if not isinstance(options.at, datetime) or options.at.utcoffset() is None:
        raise InputError(
            "input.time", f"expected at as a datetime with a time zone, found {options.at!r}"
        )
    for name in ("debug", "indefinite", "tagged", "high_s"):
        value = getattr(options, name)
        if not isinstance(value, bool) and (name, value) != ("high_s", None):
            raise InputError("input.expected", f"expected {name} to be a bool, found {value!r}")


def _check(options: Options) -> None:
    if not 1971 <= options.at.year <= 9998:
        raise InputError("input.time", f"expected at in the years 1971 to 9998, found {options.at}")
    if options.kind not in ("enclave", "nitrotpm"):
        raise InputError(
            "input.expected", f"expected kind to be enclave or nitrotpm, found {options.kind!r}"
        )
    if options.debug and options.kind == "nitrotpm":
        raise InputError("input.expected", "debug=True cannot be combined with kind='nitrotpm'")
    image = {options.pcrs[index] for index in registers.IMAGE if index in options.pcrs}
    if options.debug and image - {registers.ZERO}:
        raise InputError(
            "input.expected", "debug=True cannot be combined with values for PCR0, PCR1 or PCR2"
        )
    for name in sorted(options.absent):
        if getattr(options, name) is not None:
            raise InputError("input.expected", f"{name} cannot be in absent and have a value")
