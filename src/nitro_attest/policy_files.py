"""Policies from the files that users already have: nitro-cli's output, PCR lines, our own JSON.

A policy file decides what is trusted, so it is read as strictly as a document: a key that is not
known, a value that is given twice or text that could be read in two ways is an error (L-1 to L-8).
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from nitro_attest._internal.checks import check_keys
from nitro_attest._internal.pcrs import IMAGE_PCRS
from nitro_attest._internal.strict_json import line_of, read_json
from nitro_attest.errors import AttestationWarning, InputError
from nitro_attest.verification.document import AttestationDocument
from nitro_attest.verification.measurement_set import (
    MeasurementSet,
    NitroTpmMeasurementSet,
)
from nitro_attest.verification.policy import NitroTpmPolicy, Policy

MAX_POLICY_FILE_BYTES: Final = 1 << 20
"""More than any nitro-cli output with its progress lines; a whole file is held in memory."""

Form = Literal["policy", "image", "enclave", "register", "flat", "lines", "document"]
"""What a file was recognised as: our own JSON, the output of nitro-cli build-enclave, sign-eif or
describe-eif, of describe-enclaves, of pcr, of eif_build, lines of PCRs; or a document's PCRs."""

_IMAGE_KEYS: Final = frozenset(
    {
        *("Measurements", "EifVersion", "IsSigned", "SigningCertificate", "CheckCRC"),
        *("SignatureCheck", "ImageName", "ImageVersion", "Metadata"),
    }
)
_ENCLAVE_KEYS: Final = frozenset(
    {
        *("Measurements", "EnclaveName", "EnclaveID", "ProcessID", "EnclaveCID", "NumberOfCPUs"),
        *("CPUIDs", "MemoryMiB", "State", "Flags", "ImageName", "ImageVersion", "Metadata"),
    }
)
_INSTANCE_PCRS: Final = frozenset({4, 7, 12})
"""T-6. What nitro-tpm-pcr-compute prints, always all three; nitro-cli prints PCR0, PCR1, PCR2."""

_EXAMPLE: Final = (
    'expected was one JSON value that starts a line, such as {"Measurements": {"PCR0": "<96 hex '
    'digits>"}}, or lines such as PCR0=<96 hex digits>'
)

# Progress lines may begin with a bracket ("[+] Building"); an array that matters holds objects.
_JSON_START: Final = re.compile(r"^(?:\{|\[\s*(?:[{\]]|\Z))", re.MULTILINE)
_PCR_LINE: Final = re.compile(
    r"\s*(?:(?P<key>PCR[0-9]+)\s*=\s*(?P<value>\S+)|(?P<first>\S+)\s+(?P<last>PCR[0-9]+))\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy and what it was read from.

    Attributes:
        policy: The policy.
        form: What the file was recognised as.
    """

    policy: Policy
    form: Form

    @property
    def notices(self) -> list[AttestationWarning]:
        """What should be known of the policy before it is used; results repeat it."""
        return self.policy.weaknesses()


def load_policy(
    path: str | os.PathLike[str],
    *,
    enclave_name: str | None = None,
    pcr_index: int | None = None,
) -> LoadedPolicy:
    """Reads a policy file of at most MAX_POLICY_FILE_BYTES.

    Args:
        path: The file.
        enclave_name: EnclaveName or EnclaveID of the one to take from describe-enclaves output.
        pcr_index: The register that ``nitro-cli pcr --input`` output is for (L-6).

    Raises:
        InputError: ``input.file``: the file cannot be read. Otherwise as parse_policy.
    """
    return parse_policy(_read(path), enclave_name=enclave_name, pcr_index=pcr_index)


def parse_policy(
    content: str | bytes,
    *,
    enclave_name: str | None = None,
    pcr_index: int | None = None,
) -> LoadedPolicy:
    """Reads the content of a policy file.

    Args:
        content: The text, or its UTF-8.
        enclave_name: EnclaveName or EnclaveID of the one to take from describe-enclaves output.
        pcr_index: The register that ``nitro-cli pcr --input`` output is for (L-6).

    Raises:
        InputError: ``policyfile.*``, with the line or the key; ``input.expected``: the content is
            neither text nor bytes.
    """
    text = _decode(content)
    value = _only_json_value(text)
    form: Form = "lines"
    if value is None:
        elements = [_pcr_lines(text)]
    else:
        elements = _elements(value)
        form = _form_of_all(elements)
    if enclave_name is not None and form != "enclave":
        raise InputError(
            "policyfile.format", "an enclave name selects from describe-enclaves output only"
        )
    if pcr_index is not None and form != "register":
        raise InputError("policyfile.pcr_index", "this file names its PCR indices itself")
    if form == "policy":
        return LoadedPolicy(Policy.from_dict(_only(elements)), form)
    if form == "enclave":
        return LoadedPolicy(_enclave_policy(_selected(elements, enclave_name)), form)
    if form == "register":
        return LoadedPolicy(Policy([_register_set(_only(elements), pcr_index)]), form)
    if form == "image":
        return LoadedPolicy(Policy([_image_set(item, _IMAGE_KEYS) for item in elements]), form)
    return LoadedPolicy(Policy([MeasurementSet.from_named(item) for item in elements]), form)


def load_nitrotpm_policy(path: str | os.PathLike[str]) -> NitroTpmPolicy:
    """Reads a file with expected PCRs of an EC2 instance, of at most MAX_POLICY_FILE_BYTES.

    Raises:
        InputError: ``input.file``: the file cannot be read. Otherwise as parse_nitrotpm_policy.
    """
    return parse_nitrotpm_policy(_read(path))


def parse_nitrotpm_policy(content: str | bytes) -> NitroTpmPolicy:
    """Reads the content of a file with expected PCRs of an EC2 instance.

    That is the output of ``nitro-tpm-pcr-compute`` (T-6), an array of several, which are
    alternatives (L-8), or lines such as ``PCR4=<96 hex digits>``.

    Args:
        content: The text, or its UTF-8.

    Raises:
        InputError: ``policyfile.*``, with the line or the key. What can be told to be about an
            enclave is refused: its registers have other meanings (T-2).
    """
    text = _decode(content)
    value = _only_json_value(text)
    if value is None:
        return NitroTpmPolicy([NitroTpmMeasurementSet.from_named(_pcr_lines(text))])
    return NitroTpmPolicy([_instance_set(element) for element in _elements(value)])


def policy_of_document(
    document: AttestationDocument, indices: Collection[int] = IMAGE_PCRS
) -> LoadedPolicy:
    """Expects of later documents what one document says, which no build confirms (L-2).

    Args:
        document: The document of an enclave, verified.
        indices: Which of its PCRs to expect.

    Raises:
        InputError: ``input.document``: it is no verified document of an enclave (T-2).
            ``policyfile.pcr_index``: it lacks one of them. ``policyfile.zero_pin``: it is of an
            enclave in debug mode. ``policyfile.empty``: no index is given.
    """
    if not isinstance(document, AttestationDocument):
        raise InputError(
            "input.document",
            f"a verified document of an enclave was expected, not {type(document).__name__}; pass "
            "attestation.document",
        )
    for index in indices:
        if index not in document.pcrs:
            raise InputError("policyfile.pcr_index", f"PCR{index} is not in the document")
    expected = {index: document.pcrs[index] for index in indices}
    return LoadedPolicy(Policy([expected], caveats=["policy.source_unattested"]), "document")


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_POLICY_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError("input.file", f"cannot read {os.fspath(path)!r}: {reason}") from error


def _decode(content: str | bytes) -> str:
    if not isinstance(content, (str, bytes)):
        raise InputError(
            "input.expected",
            f"the content is {type(content).__name__}; text or bytes were expected (load_policy "
            "reads a file)",
        )
    if len(content) > MAX_POLICY_FILE_BYTES:
        raise InputError(
            "policyfile.format", f"the policy file is longer than {MAX_POLICY_FILE_BYTES} bytes"
        )
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError("policyfile.format", f"line {line}: not UTF-8; save it as such") from None


def _only_json_value(text: str) -> Any:
    """L-2: the one value that starts a line, among lines that say nothing; None without one."""
    match = _JSON_START.search(text)
    if match is None:
        return None
    start = match.start()
    value, end = read_json(text, start)
    last = line_of(text, end)
    others = text[:start] + "\n" * text.count("\n", start, end) + text[end:]
    for number, line in enumerate(others.split("\n"), 1):
        says_more = _JSON_START.match(line) or _PCR_LINE.fullmatch(line)
        if says_more or (number == last and line.strip()):
            raise InputError(
                "policyfile.format",
                f"line {number}: this stands beside the JSON value and would not count; {_EXAMPLE}",
            )
    return value


def _pcr_lines(text: str) -> dict[str, str]:
    """``PCR0=<hex>`` or ``<hex> PCR0``, one a line, and nothing else."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        match = _PCR_LINE.fullmatch(line)
        if match is None:
            raise InputError("policyfile.format", f"line {number}: not understood; {_EXAMPLE}")
        key = (match["key"] or match["last"]).upper()
        if key in values:
            raise InputError("policyfile.duplicate", f"line {number}: {key} is given twice")
        values[key] = match["value"] or match["first"]
    return values


def _elements(value: Any) -> list[dict[str, Any]]:
    elements = value if isinstance(value, list) else [value]
    if not elements:
        raise InputError("policyfile.empty", "the array is empty; an empty policy is not 'any'")
    for element in elements:
        if not isinstance(element, dict):
            raise InputError(
                "policyfile.format", f"the array holds {reprlib.repr(element)}; {_EXAMPLE}"
            )
    return elements


def _form_of_all(elements: Sequence[Mapping[str, Any]]) -> Form:
    forms = {_form_of(element) for element in elements}
    if len(forms) > 1:
        raise InputError("policyfile.format", "the array mixes outputs of several commands")
    return forms.pop()


def _form_of(element: Mapping[str, Any]) -> Form:
    if "schema" in element:
        return "policy"
    if "EnclaveID" in element or "EnclaveName" in element:
        return "enclave"
    if "Measurements" in element:
        return "image"
    if [key.casefold() for key in element] == ["pcr"]:
        return "register"
    return "flat"


def _only(elements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(elements) > 1:
        raise InputError(
            "policyfile.format",
            f"the array holds {len(elements)} objects of which one was expected",
        )
    return elements[0]


def _image_set(element: Mapping[str, Any], known: Collection[str]) -> MeasurementSet:
    check_keys(element, known, "the object around Measurements")
    measurements = element.get("Measurements")
    if not isinstance(measurements, dict):
        raise InputError(
            "policyfile.empty",
            "there is no object Measurements; an older nitro-cli does not print it for a running "
            "enclave: use the output of build-enclave or describe-eif",
        )
    found = MeasurementSet.from_named(measurements)
    if found.pcrs.keys() == _INSTANCE_PCRS:
        raise InputError(
            "policyfile.format",
            "these are PCRs of an EC2 instance (nitro-tpm-pcr-compute); an enclave has others",
        )
    return found


def _instance_set(element: Mapping[str, Any]) -> NitroTpmMeasurementSet:
    measurements = element.get("Measurements")
    found = (
        NitroTpmMeasurementSet.from_named(measurements)
        if element.keys() == {"Measurements"} and isinstance(measurements, dict)
        else None
    )
    if found is None or found.pcrs.keys() != _INSTANCE_PCRS:
        raise InputError(
            "policyfile.format",
            "this is not what nitro-tpm-pcr-compute prints for an EC2 instance: an object "
            "Measurements of PCR4, PCR7 and PCR12; the measurements of an enclave do not apply",
        )
    return found


def _register_set(element: Mapping[str, Any], index: int | None) -> MeasurementSet:
    if index is None:
        raise InputError(
            "policyfile.pcr_index",
            "the output of nitro-cli pcr --input does not say which PCR it is; give its index",
        )
    [value] = element.values()
    return MeasurementSet({index: value})


def _selected(enclaves: Sequence[Mapping[str, Any]], name: str | None) -> Mapping[str, Any]:
    """L-2: of several enclaves, the one whose name or id was given."""
    ids = [(enclave.get("EnclaveName"), enclave.get("EnclaveID")) for enclave in enclaves]
    chosen = [
        enclave for enclave, own in zip(enclaves, ids, strict=True) if name is None or name in own
    ]
    if len(chosen) == 1:
        return chosen[0]
    asked = "no enclave name was given" if name is None else f"{name!r} was asked for"
    raise InputError(
        "policyfile.format",
        f"{asked}; the file describes {', '.join(reprlib.repr(own[0] or own[1]) for own in ids)}",
    )


def _enclave_policy(enclave: Mapping[str, Any]) -> Policy:
    """L-5: describe-enclaves prints the image's PCRs also where the attested ones are zero."""
    caveats = ["policy.source_unattested"]
    if str(enclave.get("Flags")).casefold().startswith("debug"):
        caveats.append("policy.debug_flag")
    return Policy([_image_set(enclave, _ENCLAVE_KEYS)], caveats=caveats)
