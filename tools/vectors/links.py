"""Public texts behind the cases: a clause of AWS's text, an RFC, or a discussion of the error."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

_PROCESS: Final = (
    "https://github.com/aws/aws-nitro-enclaves-nsm-api/blob/main/docs/attestation_process.md"
)
SPECIFICATION: Final = f"{_PROCESS}#22-attestation-document-specification"
COSE: Final = f"{_PROCESS}#31-cose-and-cbor"
VALIDATION: Final = f"{_PROCESS}#32-syntactical-validation"
ROOT_OF_TRUST: Final = "https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html"
MEASUREMENTS: Final = "https://docs.aws.amazon.com/enclaves/latest/user/set-up-attestation.html"
NITROTPM: Final = (
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/"
    "nitrotpm-attestation-document-validate.html"
)
IMAGE_FORMAT: Final = "https://github.com/aws/aws-nitro-enclaves-image-format#readme"
NITRO_CLI: Final = "https://github.com/aws/aws-nitro-enclaves-cli#readme"
NITROTPM_TOOLS: Final = "https://github.com/aws/NitroTPM-Tools#readme"
IMAGE_NOTES: Final = (
    "https://blog.trailofbits.com/2024/02/16/"
    "a-few-notes-on-aws-nitro-enclaves-images-and-attestation/"
)


def _rfc(number: int, section: str) -> str:
    return f"https://www.rfc-editor.org/rfc/rfc{number}#section-{section}"


def _cve(number: str) -> str:
    return f"https://nvd.nist.gov/vuln/detail/CVE-{number}"


_PREFERRED_CBOR: Final = _rfc(8949, "4.2.1")
_PATH: Final = _rfc(5280, "6.1.3")
_VALIDITY: Final = _rfc(5280, "4.1.2.5")
_BASIC_CONSTRAINTS: Final = _rfc(5280, "4.2.1.9")
_KEY_USAGE: Final = _rfc(5280, "4.2.1.3")

LINKS: Final[Mapping[str, tuple[str, ...]]] = {
    "C-1": (COSE,),
    "C-2": (COSE,),
    "C-3": (COSE,),
    "C-4": (COSE, _rfc(9052, "2")),
    "C-5": (COSE, _rfc(9052, "4.2")),
    "C-6": (COSE, _rfc(9053, "2.1"), _cve("2015-9235")),
    "C-7": (_rfc(9052, "3.1"),),
    "C-8": (COSE, _rfc(9052, "3")),
    "C-9": (COSE, _rfc(9052, "4.1")),
    "C-10": (COSE, _rfc(9053, "2.1")),
    "C-11": (_PREFERRED_CBOR,),
    "C-12": ("https://www.rfc-editor.org/rfc/rfc8949#appendix-F",),
    "C-13": (_rfc(8949, "3"),),
    "C-14": (_rfc(9053, "2.1"), _cve("2022-21449")),
    "C-15": (_rfc(9053, "2.1"),),
    "C-16": (VALIDATION, _rfc(9052, "4.4")),
    "C-17": ("https://www.qemu.org/docs/master/system/i386/nitro-enclave.html",),
    "P-1": (SPECIFICATION,),
    "P-2": (_rfc(8949, "3.2.2"),),
    "P-3": (_PREFERRED_CBOR,),
    "P-4": (_rfc(8949, "3.2.1"),),
    "P-5": (_rfc(8949, "3.1"),),
    "P-6": (_rfc(8949, "5.6"), _cve("2017-12635")),
    "P-7": (SPECIFICATION, _rfc(8610, "3.5.4")),
    "P-8": (SPECIFICATION,),
    "P-9": (VALIDATION,),
    "P-10": (VALIDATION,),
    **dict.fromkeys((f"P-{number}" for number in range(11, 26)), (SPECIFICATION, VALIDATION)),
    "X-1": (_rfc(5280, "4.1"),),
    "X-2": (_rfc(5280, "4.1.2.2"),),
    "X-3": (VALIDATION,),
    "X-4": (ROOT_OF_TRUST, VALIDATION),
    "X-5": (VALIDATION,),
    "X-6": (_rfc(5280, "6.1"), _cve("2018-16875")),
    "X-7": (_rfc(5280, "7.1"), _PATH),
    "X-8": (VALIDATION, _PATH),
    "X-9": (_rfc(5480, "2.1.1"), _rfc(5758, "3.2")),
    "X-10": (VALIDATION, _VALIDITY),
    "X-11": (_VALIDITY,),
    "X-12": (_rfc(5280, "4.2"), _rfc(5280, "6.1.4")),
    "X-13": (_rfc(5280, "4.2"),),
    "X-14": (VALIDATION, _BASIC_CONSTRAINTS, _cve("2015-1793")),
    "X-15": (VALIDATION, _KEY_USAGE),
    "X-16": (VALIDATION, _BASIC_CONSTRAINTS),
    "X-17": (VALIDATION, _KEY_USAGE),
    "X-18": (VALIDATION,),
    "X-19": (_rfc(5280, "4.2.1.1"),),
    "X-20": (VALIDATION,),
    "X-21": (VALIDATION, _VALIDITY),
    "X-22": (SPECIFICATION,),
    "X-23": (SPECIFICATION,),
    "X-24": (f"{_PROCESS}#21-attestation-document-definition",),
    "M-2": (MEASUREMENTS,),
    "M-3": (MEASUREMENTS,),
    "M-4": (IMAGE_FORMAT, IMAGE_NOTES),
    "M-5": (IMAGE_FORMAT, IMAGE_NOTES),
    "M-6": (IMAGE_FORMAT, IMAGE_NOTES),
    "M-9": (MEASUREMENTS,),
    "T-1": (NITROTPM,),
    "T-2": (NITROTPM,),
    "T-3": (NITROTPM,),
    "T-6": (NITROTPM_TOOLS,),
    "policy": (MEASUREMENTS, SPECIFICATION),
    **dict.fromkeys((f"L-{number}" for number in range(1, 9)), (NITRO_CLI, MEASUREMENTS)),
    "L-3": (_rfc(8259, "4"), _cve("2017-12635")),
    "R-1": (_rfc(5280, "5"),),
    "R-2": (_rfc(5280, "5.1.1.3"), _rfc(5280, "6.3.3")),
    "R-3": (_rfc(5280, "5.1.2.4"), _rfc(5280, "5.1.2.5")),
    "R-4": (_rfc(5280, "5.2.3"),),
    "R-5": (_rfc(5280, "5.2.5"), _rfc(5280, "5.3")),
    "R-6": (_rfc(5280, "6.3"),),
    "R-7": (_rfc(5280, "5.3.1"), _rfc(5280, "6.3.3")),
    "R-8": (_rfc(5280, "5.3.1"),),
    **dict.fromkeys((f"F-{number}" for number in range(1, 9)), (IMAGE_FORMAT,)),
    "F-3": (IMAGE_FORMAT, IMAGE_NOTES),
    **dict.fromkeys((f"S-{number}" for number in range(1, 6)), (IMAGE_FORMAT,)),
}
"""Links by rule."""

FURTHER: Final[Mapping[str, tuple[str, ...]]] = {
    "C-8.certificate*": (_cve("2018-0114"),),
    "C-9.claims-*": (_cve("2020-28491"),),
    "X-8.zero-signature*": (_cve("2022-21449"),),
    "X-9.leaf-explicit-curve*": (_cve("2020-0601"),),
}
"""Further links by a pattern of the case's id."""


def links(name: str, rule: str) -> list[str]:
    """Returns the links of a case.

    Args:
        name: The case's id.
        rule: The rule that it is about.

    Raises:
        KeyError: The rule has no links.
    """
    further = (found for pattern, found in FURTHER.items() if fnmatchcase(name, pattern))
    return [*LINKS[rule], *(link for found in further for link in found)]
