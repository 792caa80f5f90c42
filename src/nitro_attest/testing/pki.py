"""Internal: the certificates of a fake attestation document, under an untrusted root.

They have the profile of genuine chains: root, regional, zonal and instance CA, and the signing
certificate. Names, order of RDNs, lifetimes, path lengths, key usages, order of extensions and
lengths of serial numbers are those of genuine certificates.
"""

from __future__ import annotations

import functools
from datetime import datetime, timedelta, timezone
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from nitro_attest.testing.certificates import CertificateForm, Extension, KeyRing

ROOT_NAME: Final = "FAKE-NOT-AWS.nitro-enclaves"
COMMERCIAL: Final = "aws"

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

_SECOND: Final = timedelta(seconds=1)

# Certificate authorities are valid from this long before their first document.
_LEAD: Final = timedelta(hours=1)


_KEY_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> bytes:
    """Encodes a Name in DER, with its attributes in the given order."""
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes]).public_bytes()


def root_name(common_name: str, unit: str = "AWS") -> bytes:
    """Encodes the name of the root or the regional CA."""
    return name(
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.ORGANIZATION_NAME, "Amazon"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common_name),
    )


def zonal_name(common_name: str) -> bytes:
    """Encodes the name of the zonal CA."""
    return name(
        (NameOID.COMMON_NAME, common_name),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "AWS"),
        (NameOID.ORGANIZATION_NAME, "Amazon"),
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.STATE_OR_PROVINCE_NAME, "WA"),
        (NameOID.LOCALITY_NAME, "Seattle"),
    )


def host_name(common_name: str) -> bytes:
    """Encodes the name of the instance CA or the signing certificate."""
    return name(
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Washington"),
        (NameOID.LOCALITY_NAME, "Seattle"),
        (NameOID.ORGANIZATION_NAME, "Amazon"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "AWS"),
        (NameOID.COMMON_NAME, common_name),
    )


def basic_constraints(*, ca: bool, path_length: int | None = None) -> Extension:
    """Makes the critical basicConstraints that every certificate in the chain has."""
    return Extension.of(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)


def key_usage(*usages: str, critical: bool = True) -> Extension:
    """Makes a keyUsage with these bits, by their names in cryptography."""
    bits = dict.fromkeys(_KEY_USAGES, False)
    return Extension.of(x509.KeyUsage(**bits | dict.fromkeys(usages, True)), critical=critical)


def subject_key(identifier: bytes) -> Extension:
    """Makes a subjectKeyIdentifier."""
    return Extension.of(x509.SubjectKeyIdentifier(identifier), critical=False)


def authority_key(identifier: bytes) -> Extension:
    """Makes an authorityKeyIdentifier with only a keyIdentifier."""
    return Extension.of(x509.AuthorityKeyIdentifier(identifier, None, None), critical=False)


def crl_address(file: str) -> str:
    """Makes a CRL address under a host name that never resolves (RFC 2606 section 2)."""
    return f"http://crl.invalid/crl/{file}.crl"


def crl_distribution_point(file: str) -> Extension:
    """Makes the extension that names the list of a certificate."""
    address = x509.UniformResourceIdentifier(crl_address(file))
    point = x509.DistributionPoint([address], None, None, None)
    return Extension.of(x509.CRLDistributionPoints([point]), critical=False)


CA_USAGE: Final = key_usage("digital_signature", "key_cert_sign", "crl_sign")
INSTANCE_USAGE: Final = key_usage("key_cert_sign")
LEAF_USAGE: Final = key_usage("digital_signature", "content_commitment", critical=False)


class FakePki:
    """A root and the certificates below it, each made when it is first needed.

    Attributes:
        ring: The source of all keys and numbers.
        root: The self-signed root.
    """

    def __init__(
        self,
        ring: KeyRing,
        *,
        region: str,
        instance_id: str,
        partition: str = COMMERCIAL,
        govcloud_dates: bool,
    ) -> None:
        self.ring = ring
        self._place = f"{region}.{partition}"
        self._root_name = (
            root_name(ROOT_NAME)
            if partition == COMMERCIAL
            else root_name(f"{partition}.nitro-enclaves", unit="FAKE-NOT-AWS")
        )
        self._instance_id = instance_id
        self.root = self._root(govcloud_dates=govcloud_dates)
        self._cached_authorities = functools.lru_cache(maxsize=64)(self._authorities)
        self._cached_leaf = functools.lru_cache(maxsize=256)(self._leaf)

    def path(self, at: datetime, module_id: str) -> tuple[CertificateForm, ...]:
        """Returns the five certificates of a document made at a time, root first."""
        authorities = self._cached_authorities(_floor(at, timedelta(hours=12)))
        return (*authorities, self._cached_leaf(authorities[-1], _floor(at, _SECOND), module_id))

    def _root(self, *, govcloud_dates: bool) -> CertificateForm:
        # The dates of the two AWS roots: one ends within the range of UTCTime, the other after it.
        first = (2020, 9, 10, 12, 3, 46) if govcloud_dates else (2019, 10, 28, 13, 28, 5)
        not_before = datetime(*first, tzinfo=timezone.utc)
        key = self.ring.key("root")
        return CertificateForm(
            subject=self._root_name,
            issuer=self._root_name,
            key=key,
            signer=key,
            serial=self.ring.serial("root", 16),
            not_before=not_before,
            not_after=not_before.replace(year=not_before.year + 30) + timedelta(hours=1),
            extensions=(basic_constraints(ca=True), subject_key(key.identifier), CA_USAGE),
        )

    def _authorities(self, at: datetime) -> tuple[CertificateForm, ...]:
        # Each is renewed early enough to outlive the certificates below it: the leaf expires first.
        regional = self._regional(_floor(at, timedelta(days=10)) - _LEAD)
        zonal = self._zonal(regional, _floor(at, timedelta(days=3)) - _LEAD)
        return (self.root, regional, zonal, self._instance(zonal, at - _LEAD))

    def _regional(self, not_before: datetime) -> CertificateForm:
        label = f"regional {not_before}"
        key = self.ring.key(label)
        hexadecimal = self.ring.octets(f"name {label}", 8).hex()
        return CertificateForm(
            subject=root_name(f"{hexadecimal}.{self._place}.nitro-enclaves"),
            issuer=self.root.subject,
            key=key,
            signer=self.root.key,
            serial=self.ring.serial(label, 16),
            not_before=not_before,
            not_after=not_before + timedelta(days=20, hours=1),
            extensions=(
                basic_constraints(ca=True, path_length=2),
                authority_key(self.root.key.identifier),
                subject_key(key.identifier),
                CA_USAGE,
                crl_distribution_point("regional"),
            ),
        )

    def _zonal(self, issuer: CertificateForm, not_before: datetime) -> CertificateForm:
        label = f"zonal {not_before}"
        key = self.ring.key(label)
        hexadecimal = self.ring.octets(f"name {label}", 8).hex()
        return CertificateForm(
            subject=zonal_name(f"{hexadecimal}.zonal.{self._place}.nitro-enclaves"),
            issuer=issuer.subject,
            key=key,
            signer=issuer.key,
            serial=self.ring.serial(label, 16),
            not_before=not_before,
            not_after=not_before + timedelta(days=5, hours=20),
            extensions=(
                basic_constraints(ca=True, path_length=1),
                authority_key(issuer.key.identifier),
                subject_key(key.identifier),
                CA_USAGE,
                crl_distribution_point("zonal"),
            ),
        )

    def _instance(self, issuer: CertificateForm, not_before: datetime) -> CertificateForm:
        label = f"instance {not_before}"
        key = self.ring.key(label)
        return CertificateForm(
            subject=host_name(f"{self._instance_id}.{self._place}.nitro-enclaves"),
            issuer=issuer.subject,
            key=key,
            signer=issuer.key,
            serial=self.ring.serial(label, 20),  # 21 content octets, as half of the genuine ones
            not_before=not_before,
            not_after=not_before + timedelta(days=1),
            extensions=(
                basic_constraints(ca=True, path_length=0),
                INSTANCE_USAGE,
                subject_key(key.identifier),
                authority_key(issuer.key.identifier),
            ),
        )

    def _leaf(self, issuer: CertificateForm, at: datetime, module_id: str) -> CertificateForm:
        # Observed on genuine leaves: the enclave's 8 octets, then the time of issue in 8 more. An
        # instance's (NitroTPM) are zeros, which leaves the 4 octets of the time.
        enclave = int(module_id[-16:], 16)
        return CertificateForm(
            subject=host_name(f"{module_id}.{self._place}"),
            issuer=issuer.subject,
            key=self.ring.key(f"leaf {module_id} {at}"),
            signer=issuer.key,
            serial=enclave << 64 | (at - EPOCH) // _SECOND,
            not_before=at - timedelta(seconds=3),
            not_after=at + timedelta(hours=3),
            extensions=(basic_constraints(ca=False), LEAF_USAGE),
        )


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - EPOCH) % step
