"""Policies from files: output of nitro-cli and similar tools, lines of PCRs, and our own JSON.

A policy file decides what is trusted, so it is parsed as strictly as a document: an unknown key, a
duplicate value, or text with two possible meanings is an error (L-1 to L-8).
"""

from __future__ import annotations

import os
import re
import reprlib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, get_args

from nitro_attest._internal.checks import check_keys
from nitro_attest._internal.files import unreadable
from nitro_attest._internal.pcrs import IMAGE_PCRS
from nitro_attest._internal.strict_json import MAX_DEPTH, line_of, read_json
from nitro_attest.errors import AttestationWarning, InputError
from nitro_attest.verification.document import AttestationDocument
from nitro_attest.verification.measurement_set import (
    MeasurementSet,
    NitroTpmMeasurementSet,
    check_enclave_pcrs,
)
from nitro_attest.verification.policy import NitroTpmPolicy, Policy

__all__ = [
    "FILE_FORMS",
    "MAX_POLICY_FILE_BYTES",
    "Form",
    "LoadedPolicy",
    "load_nitrotpm_policy",
    "load_policy",
    "parse_nitrotpm_policy",
    "parse_policy",
    "policy_of_document",
]

MAX_POLICY_FILE_BYTES: Final = 1 << 20
"""Maximum size of a policy file in bytes. The whole file is held in memory; no nitro-cli output
comes close to this size, progress lines included."""

Form = Literal[
    "policy",
    "image",
    "enclave",
    "register",
    "flat",
    "indices",
    "statements",
    "lines",
    "toml",
    "history",
    "document",
]
"""The format of a policy source.

``policy``: our own JSON. ``image``: output of nitro-cli build-enclave, sign-eif or describe-eif.
``enclave``: output of describe-enclaves. ``register``: output of ``nitro-cli pcr --input``.
``flat``: output of ``nitro-cli pcr --signing-certificate`` or eif_build. ``indices``: PCRs by
decimal index, as in the JSON of this package. ``statements``: statements for a KMS key policy, or
the Condition of one, as ``nitro-attest kms-policy make`` writes them. ``lines``: lines of PCRs.
``toml``: a TOML table of PCRs. ``history``: a list of releases with keys of their own; never
recognised, only read when named. ``document``: the PCRs of a verified document.
"""

FILE_FORMS: Final = tuple(form for form in get_args(Form) if form != "document")
"""The formats of policy files."""

_RESULT_SCHEMA: Final = "nitro-attest/1"  # of what the command line prints with --json
_RESULT_CONTENTS: Final = ("image", "pcrs", "value", "policy", "statements", "condition")
_RESULT_KEYS: Final = ("schema", "source", "form", "unenforced", "warnings")
_UNATTESTED: Final = "policy.source_unattested"
_DEBUG_FLAG: Final = "policy.debug_flag"
_ALTERNATIVE: Final = frozenset({"image", "flat", "statements", "history"})
"""The forms of which an array gives one measurement set per object (L-8)."""

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
_REFERENCES: Final = ({4, 7, 12}, {4, 7}, {4, 12})
"""T-6. The PCRs that releases of nitro-tpm-pcr-compute and samples of AWS print for an instance;
nitro-cli prints PCR0, PCR1 and PCR2 for an enclave."""

_EXAMPLE: Final = (
    'expected one JSON value that starts a line, such as {"Measurements": {"PCR0": "<96 hex '
    'digits>"}}, or only lines such as PCR0=<96 hex digits>'
)

_INDENTED_START: Final = re.compile(r"[ \t\r\n]*(?=\{|\[\s*(?:[{\]]|\Z))")
# Progress lines may begin with a bracket ("[+] Building"); only an array of objects is JSON here.
_JSON_START: Final = re.compile(r"^(?:\{|\[\s*(?:[{\]]|\Z))", re.MULTILINE)
_LINE: Final = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
"""The content of one line; editors differ in which of these characters end one."""

_MAY_REQUIRE: Final = re.compile(
    r"""
    pcr[\s_\-"'\[(]*\d                  # names a PCR
    | [0-9a-f]{65}                       # a longer digest than the SHA-256 of progress lines
    | ^\s*(?:\{|\[\s*(?:[{\]]|\Z)|")    # JSON
    | \{\s*"
    | ^\s*(?:\#(?!\d+\s)|//|/\*|;)        # a comment; BuildKit numbers its lines "#1 "
    | ^\W*(?:HashAlgorithm|Measurements|schema|max_age_seconds|allow_debug|require_nonce
        |module_ids|instance_ids|regions|caveats)\W*[:=]
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Finds lines around the JSON value that a reader may take for a part of the policy (L-2)."""

_PCR_LINE: Final = re.compile(
    r"""
    (?:PCR(?P<named>[0-9]+)\s*[=:] | (?P<bare>[0-9]+)\s*=) \s*(?P<value>\S+)
    | (?P<first>\S+) \s+ PCR(?P<last>[0-9]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_TOML_COMMENT: Final = re.compile(r"#.*")  # needs no blank; a # in a string is taken for one too
_PIN_IN_COMMENT: Final = re.compile(r"pcr[\s_\-\"'\[(]*\d+\W*[=:]|[0-9a-f]{65}", re.IGNORECASE)
_NO_TOML_LINE_END: Final = re.compile(r"[\x85\u2028\u2029]")  # the parser rejects the others
_TOML: Final = re.compile(
    r"""^[ \t]*(?:\[+[\w .\"'-]+\]+[ \t]*(?:\#.*)?$|PCR\d+[ \t]*=[ \t]*[\"'])""",
    re.IGNORECASE | re.MULTILINE,
)
"""A table's header, or a PCR whose value is quoted: neither is part of a file of lines."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]?")
_CONDITION_KEY: Final = re.compile(
    r"kms:RecipientAttestation:(?:(?P<image>ImageSha384)|PCR(?P<index>0|[1-9][0-9]?))"
)
_STATEMENT_KEYS: Final = frozenset(
    {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
)
_REQUIREMENT_KEYS: Final = frozenset(
    {
        *("schema", "max_age_seconds", "allow_debug", "require_nonce"),
        *("module_ids", "instance_ids", "regions", "caveats"),
    }
)
_RELEASE_KEYS: Final = _REQUIREMENT_KEYS | {"hashalgorithm", "measurements"}
"""In lower case; never ignored in a release, however deep."""


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy and the format of its source.

    Attributes:
        policy: The policy, for ``verify`` or ``Verifier``.
        form: The recognised format of the source.
    """

    policy: Policy
    form: Form

    @property
    def warnings(self) -> list[AttestationWarning]:
        """Warnings about the policy, which every result under it repeats.

        Codes: ``policy.weak`` (M-3, M-4), ``policy.source_unattested`` (L-2),
        ``policy.debug_flag`` (L-5).
        """
        return self.policy.weaknesses()


def load_policy(
    path: str | os.PathLike[str],
    *,
    enclave_name: str | None = None,
    pcr_index: int | None = None,
    policy_form: Form | None = None,
) -> LoadedPolicy:
    """Loads a policy file of at most MAX_POLICY_FILE_BYTES.

    Args:
        path: Path of the file.
        enclave_name: EnclaveName or EnclaveID of the enclave to select from describe-enclaves
            output (L-2). None: the output describes one enclave.
        pcr_index: Index, 0 to 31, of the PCR in ``nitro-cli pcr --input`` output (L-6). None: the
            file names its PCRs.
        policy_form: As for ``parse_policy``.

    Returns:
        The policy and its format.

    Raises:
        InputError: ``input.file``: the file cannot be read. ``policyfile.*``: as for
            ``parse_policy``.

    Example:
        >>> from pathlib import Path
        >>> from nitro_attest.policy_files import load_policy
        >>> _ = Path("build.txt").write_text('{"Measurements": {"PCR0": "' + "ab" * 48 + '"}}')
        >>> loaded = load_policy("build.txt")
        >>> loaded.form
        'image'
        >>> [warning.code for warning in loaded.warnings]
        []
    """
    return parse_policy(
        _read(path), enclave_name=enclave_name, pcr_index=pcr_index, policy_form=policy_form
    )


def parse_policy(
    content: str | bytes,
    *,
    enclave_name: str | None = None,
    pcr_index: int | None = None,
    policy_form: Form | None = None,
) -> LoadedPolicy:
    """Parses the content of a policy file.

    Args:
        content: The text, or its UTF-8 encoding, of at most MAX_POLICY_FILE_BYTES.
        enclave_name: EnclaveName or EnclaveID of the enclave to select from describe-enclaves
            output (L-2). None: the output describes one enclave.
        pcr_index: Index, 0 to 31, of the PCR in ``nitro-cli pcr --input`` output (L-6). None: the
            content names its PCRs.
        policy_form: The only format to accept. None: any that is recognised. With ``history``, keys
            beside the PCRs of a release are ignored, and with ``toml`` those beside the one table
            of PCRs (L-1).

    Returns:
        The policy and its format.

    Raises:
        InputError: The message names the line or the key. ``policyfile.format``: not a recognised
            format, more than one JSON value, or an ambiguous selection (L-2).
            ``policyfile.unknown_key`` and ``policyfile.hash_algorithm``: L-1.
            ``policyfile.duplicate``: a key or a name twice (L-3, L-8). ``policyfile.empty``:
            nothing is required (L-7). ``policyfile.hex``: not a SHA-384 value (M-9).
            ``policyfile.pcr_index``: an index outside 0 to 31, or L-6. ``policyfile.zero_pin``:
            zeros for PCR0, PCR1 or PCR2 (M-3). ``input.expected``: the content is neither text
            nor bytes, or ``policy_form`` is none of the formats of a file.

    Example:
        >>> from nitro_attest.policy_files import parse_policy
        >>> loaded = parse_policy("PCR0=" + "ab" * 48)
        >>> loaded.form
        'lines'
        >>> loaded.policy.measurements[0].pcrs[0] == bytes([0xAB]) * 48
        True
    """
    text = _decode(content)
    form, elements = _recognised(text, _checked_form(policy_form))
    if enclave_name is not None and form != "enclave":
        raise InputError(
            "policyfile.format",
            f"enclave_name= requires the output of describe-enclaves, found the form {form}",
        )
    if pcr_index is not None and form != "register":
        raise InputError(
            "policyfile.pcr_index",
            f"pcr_index= requires the output of nitro-cli pcr --input, found the form {form}, "
            "which names its PCRs",
        )
    if form == "policy":
        return LoadedPolicy(Policy.from_dict(_only(elements)), form)
    if form == "enclave":
        return LoadedPolicy(_enclave_policy(_selected(elements, enclave_name)), form)
    if form == "register":
        return LoadedPolicy(Policy([_register_set(_only(elements), pcr_index)]), form)
    if form not in _ALTERNATIVE:
        _only(elements)
    return LoadedPolicy(Policy([_SET_OF[form](item) for item in elements]), form)


def load_nitrotpm_policy(path: str | os.PathLike[str]) -> NitroTpmPolicy:
    """Loads a file of expected PCRs of an EC2 instance, of at most MAX_POLICY_FILE_BYTES.

    Args:
        path: Path of the file.

    Returns:
        The policy, for ``verify_nitrotpm``.

    Raises:
        InputError: ``input.file``: the file cannot be read. ``policyfile.*``: as for
            ``parse_nitrotpm_policy``.
    """
    return parse_nitrotpm_policy(_read(path))


def parse_nitrotpm_policy(content: str | bytes) -> NitroTpmPolicy:
    """Parses expected PCRs of an EC2 instance.

    Accepted are the output of ``nitro-tpm-pcr-compute`` (T-6), an array of several outputs, which
    are alternatives (L-8), the output of ``nitro-attest pcr uki`` with or without ``--json``, and
    lines such as ``PCR4=<96 hex digits>``. A reference file without PCR7 or PCR12 gives the warning
    ``policy.unpinned``. Files recognisable as enclave policies are rejected: the PCRs of an enclave
    have other meanings (T-2).

    Args:
        content: The text, or its UTF-8 encoding, of at most MAX_POLICY_FILE_BYTES.

    Returns:
        The policy, for ``verify_nitrotpm``.

    Raises:
        InputError: ``policyfile.*``: as for ``parse_policy``, with the line or the key;
            ``policyfile.format`` also for an enclave policy (T-6). ``input.expected``: the content
            is neither text nor bytes.
    """
    text = _decode(content)
    value = _unwrapped(_only_json_value(text))
    if value is None:
        return NitroTpmPolicy([NitroTpmMeasurementSet.from_named(_pcr_lines(text))])
    if isinstance(value, dict) and _form_of(value) == "indices":
        return NitroTpmPolicy([_reference(NitroTpmMeasurementSet(_by_index(value)))])
    return NitroTpmPolicy(
        [_instance_set(element) for element in _elements(value)], from_reference=True
    )


def policy_of_document(
    document: AttestationDocument, indices: Collection[int] = IMAGE_PCRS
) -> LoadedPolicy:
    """Takes the expected PCRs from one verified document.

    No build confirms these values, so every result carries ``policy.source_unattested`` (L-2).

    Args:
        document: ``attestation.document`` of a verified enclave.
        indices: Indices of the PCRs to expect.

    Returns:
        A policy of one measurement set, with the form ``document``.

    Raises:
        InputError: ``input.document``: not the verified document of an enclave (T-2).
            ``policyfile.pcr_index``: the document lacks one of the PCRs.
            ``policyfile.zero_pin``: the enclave runs in debug mode (M-3). ``policyfile.empty``:
            no index is given (L-7).
    """
    if not isinstance(document, AttestationDocument):
        raise InputError(
            "input.document",
            "expected the verified document of an enclave, found "
            f"{type(document).__name__}; pass attestation.document",
        )
    for index in indices:
        if index not in document.pcrs:
            raise InputError("policyfile.pcr_index", f"the document has no PCR{index}")
    expected = {index: document.pcrs[index] for index in indices}
    return LoadedPolicy(Policy([expected], caveats=[_UNATTESTED]), "document")


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_POLICY_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def _decode(content: str | bytes) -> str:
    if not isinstance(content, (str, bytes)):
        raise InputError(
            "input.expected",
            f"expected text or bytes, found {type(content).__name__}; {_right_call(content)}",
        )
    if len(content) > MAX_POLICY_FILE_BYTES:
        raise InputError(
            "policyfile.format",
            f"policy file: expected at most {MAX_POLICY_FILE_BYTES} bytes, found more",
        )
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            "policyfile.format", f"line {line}: not UTF-8; save the file as UTF-8"
        ) from None


def _right_call(content: object) -> str:
    """Returns a hint for content that is already parsed, or that is the name of a file."""
    if isinstance(content, (Mapping, list)):
        return "pass parsed measurements to verify() or Verifier() as policy="
    return "use load_policy() for a file"


def _only_json_value(text: str) -> Any:
    """Returns the one JSON value that starts a line or the text (L-2), or None if none does."""
    if match := _INDENTED_START.match(text):
        start = match.end()
    elif match := _JSON_START.search(text):
        start = match.start()
    else:
        return None
    value, end = read_json(text, start)
    for line in chain(_LINE.finditer(text, 0, start), _LINE.finditer(text, end)):
        beside = line.start() == end and line[0].strip()
        if beside or _MAY_REQUIRE.search(line[0]):
            raise InputError(
                "policyfile.format",
                f"line {line_of(text, line.start())}: content outside the JSON value would be "
                f"ignored, but may be a requirement or a comment; {_EXAMPLE}",
            )
    return value


def _pcr_lines(text: str) -> dict[str, str]:
    """Parses lines such as ``PCR0=<hex>`` and comments; any other line is an error (L-2)."""
    values: dict[str, str] = {}
    for line in _LINE.finditer(text):
        _check_comment(text, line, _COMMENT)
        content = _COMMENT.sub("", line[0]).strip()
        if not content:
            continue
        match = _PCR_LINE.fullmatch(content)
        if match is None:
            number = line_of(text, line.start())
            raise InputError("policyfile.format", f"line {number}: unrecognised; {_EXAMPLE}")
        key = f"PCR{match['named'] or match['bare'] or match['last']}"
        if key in values:
            number = line_of(text, line.start())
            raise InputError("policyfile.duplicate", f"line {number}: duplicate {key}; keep one")
        values[key] = match["value"] or match["first"]
    return values


def _check_comment(text: str, line: re.Match[str], pattern: re.Pattern[str]) -> None:
    """Rejects a comment with an expected PCR: its author may have meant to require it (L-2)."""
    comment = pattern.search(line[0])
    if comment and _PIN_IN_COMMENT.search(comment[0]):
        raise InputError(
            "policyfile.format",
            f"line {line_of(text, line.start())}: the comment would be ignored, but may be a "
            "requirement; delete it",
        )


def _checked_form(policy_form: Form | None) -> Form | None:
    if policy_form is not None and policy_form not in FILE_FORMS:
        raise InputError(
            "input.expected",
            f"policy_form: expected one of {', '.join(FILE_FORMS)}, found {policy_form!r:.100}",
        )
    return policy_form


def _recognised(text: str, wanted: Form | None) -> tuple[Form, list[dict[str, Any]]]:
    """Returns the format of a text, and its objects."""
    form: Form
    value = _unwrapped(_only_json_value(text))
    if value is not None:
        elements = _elements(value)
        form = "history" if wanted == "history" else _form_of_all(elements)
    elif _TOML.search(text):
        form, elements = "toml", [_toml_table(text, alone=wanted is None)]
    else:
        form, elements = "lines", [_pcr_lines(text)]
    if wanted not in (None, form):
        raise InputError(
            "policyfile.format", f"expected a file of the form {wanted}, found the form {form}"
        )
    return form, elements


def _unwrapped(value: Any) -> Any:
    """Returns what a result of the command line contains; any other value as it is."""
    if not isinstance(value, dict) or value.get("schema") != _RESULT_SCHEMA:
        return value
    if "attestation" in value or "unverified" in value:
        raise InputError(
            "policyfile.format",
            "expected measurements, found the result for a document, which has PCRs that differ on "
            "every parent; keep those of its pcrs that you require, such as PCR0, PCR1 and PCR2",
        )
    contents = [name for name in value if name in _RESULT_CONTENTS]
    check_keys(value, {*_RESULT_CONTENTS, *_RESULT_KEYS}, "the result")
    if len(contents) != 1:
        raise InputError(
            "policyfile.format",
            f"expected one result with measurements, found {' and '.join(contents) or 'none'}",
        )
    _check_nothing_lost(value)
    content = value[contents[0]]
    if contents == ["value"]:
        return {"PCR": content}
    if contents == ["image"]:
        content = content.get("pcrs") if isinstance(content, dict) else None
    if not isinstance(content, (dict, list)):
        raise InputError("policyfile.format", f"the result has no measurements in {contents[0]}")
    return content


def _check_nothing_lost(result: Mapping[str, Any]) -> None:
    """Rejects a result that leaves out a part of its policy, as statements for KMS may (L-2)."""
    if (unenforced := result.get("unenforced", [])) != []:
        raise InputError(
            "policyfile.format",
            f"the result leaves out requirements of its policy: {reprlib.repr(unenforced)}; use "
            "the policy file itself",
        )
    if "policy" in result:
        return  # its caveats give the same warnings again
    for code in (_UNATTESTED, _DEBUG_FLAG):
        if code in str(result.get("warnings")):
            raise InputError(
                "policyfile.format",
                f"the result has the warning {code} about the source of its PCRs, which would be "
                "lost; use the policy file itself",
            )


def _toml_table(text: str, *, alone: bool) -> dict[str, Any]:
    """Returns the one table of PCRs in a TOML file.

    Args:
        text: The file.
        alone: Reject everything outside the table (L-1).
    """
    for line in _LINE.finditer(text):
        _check_comment(text, line, _TOML_COMMENT)
        if line[0].count(".") > MAX_DEPTH:  # the parser's time grows as the square of a key's parts
            raise InputError(
                "policyfile.format",
                f"line {line_of(text, line.start())}: more than {MAX_DEPTH} dots in one line of "
                "TOML; spread a long array over several lines",
            )
    if end := _NO_TOML_LINE_END.search(text):
        raise InputError(
            "policyfile.format",
            f"line {line_of(text, end.start())}: found the line separator U+{ord(end[0]):04X}, "
            "which does not end a line of TOML",
        )
    root = _load_toml(text)
    tables = [table for table in _tables(root) if any(_names_pcr(key) for key in table)]
    if len(tables) != 1:
        raise InputError(
            "policyfile.format",
            f"expected one table with PCRs in the TOML file, found {len(tables)}",
        )
    [table] = tables
    for key in chain.from_iterable(other for other in _tables(root) if other is not table):
        if key.casefold() in _REQUIREMENT_KEYS or key.casefold() == "hashalgorithm":
            raise InputError(
                "policyfile.unknown_key",
                f"the TOML file has the key {reprlib.repr(key)} outside the table of PCRs, which "
                "would be ignored, but may be a requirement; delete it",
            )
    if alone and table is not root and list(root.values()) != [table]:
        raise InputError(
            "policyfile.unknown_key",
            "expected nothing but one table of PCRs in the TOML file, found other keys; to ignore "
            "them, name the form toml with policy_form=",
        )
    return table


def _load_toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib

        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError("policyfile.format", f"malformed TOML: {error}") from None
    raise InputError(
        "policyfile.format",
        "reading TOML needs Python 3.11 or later; use lines such as PCR0=<96 hex digits>",
    )


def _tables(value: Any) -> Iterator[dict[str, Any]]:
    """Yields every table of TOML or object of JSON; the parser limited their nesting."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _names_pcr(key: str) -> bool:
    return "pcr" in key.casefold()


def _elements(value: Any) -> list[dict[str, Any]]:
    elements = value if isinstance(value, list) else [value]
    if not elements:
        raise InputError("policyfile.empty", "the array is empty; expected at least one object")
    for element in elements:
        if not isinstance(element, dict):
            raise InputError(
                "policyfile.format",
                f"expected an object in the array, found {reprlib.repr(element)}; {_EXAMPLE}",
            )
    return elements


def _form_of_all(elements: Sequence[Mapping[str, Any]]) -> Form:
    forms = {_form_of(element) for element in elements}
    if len(forms) > 1:
        raise InputError("policyfile.format", "the array mixes the output of different commands")
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
    if "Effect" in element or "StringEqualsIgnoreCase" in element:
        return "statements"
    if element and all(map(_INDEX.fullmatch, element)):
        return "indices"
    return "flat"


def _only(elements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(elements) > 1:
        raise InputError(
            "policyfile.format",
            f"expected one object in the array, found {len(elements)}",
        )
    return elements[0]


def _image_set(element: Mapping[str, Any], known: Collection[str]) -> MeasurementSet:
    check_keys(element, known, "the object around Measurements")
    measurements = element.get("Measurements")
    if not isinstance(measurements, dict):
        raise InputError(
            "policyfile.empty",
            "there is no object Measurements; older releases of nitro-cli do not print it for a "
            "running enclave: use the output of build-enclave or describe-eif",
        )
    return _enclave_set(measurements)


def _enclave_set(values: Mapping[str, Any]) -> MeasurementSet:
    found = MeasurementSet.from_named(values)
    check_enclave_pcrs(found)
    return found


def _index_set(values: Mapping[str, Any]) -> MeasurementSet:
    found = MeasurementSet(_by_index(values))
    check_enclave_pcrs(found)
    return found


def _by_index(values: Mapping[str, Any]) -> dict[int, Any]:
    return {int(index): value for index, value in values.items()}


def _statement_set(element: Mapping[str, Any]) -> MeasurementSet:
    """Makes the set of a statement of ``nitro-attest kms-policy make``, or of its Condition."""
    condition: Any = element
    if "Effect" in element:
        check_keys(element, _STATEMENT_KEYS, "the statement")
        condition = element.get("Condition") if element["Effect"] == "Allow" else {}
    values = condition.get("StringEqualsIgnoreCase") if isinstance(condition, dict) else None
    if not isinstance(values, dict) or len(condition) != 1:
        raise InputError(
            "policyfile.format",
            "expected statements as kms-policy make writes them: Allow, with a Condition of "
            "StringEqualsIgnoreCase alone",
        )
    pcrs: dict[int, Any] = {}
    for key, value in values.items():
        match = _CONDITION_KEY.fullmatch(key)
        if match is None:
            raise InputError(
                "policyfile.unknown_key",
                f"the Condition has the unknown key {reprlib.repr(key)}; expected "
                "kms:RecipientAttestation: with ImageSha384 or the PCR of an enclave",
            )
        index = 0 if match["image"] else int(match["index"])
        if index in pcrs:
            raise InputError("policyfile.duplicate", f"the Condition has PCR{index} twice")
        pcrs[index] = value
    return MeasurementSet(pcrs)


def _release_set(element: Mapping[str, Any]) -> MeasurementSet:
    """Makes the set of one release in a history, whose other keys are ignored (L-1)."""
    if (form := _form_of(element)) in ("enclave", "statements"):
        raise InputError(
            "policyfile.format", f"expected a release of a history, found the form {form}"
        )
    named = {
        key: value
        for key, value in element.items()
        if _names_pcr(key) or key.casefold() == "hashalgorithm"
    }
    taken = {*named, "Measurements"}
    ignored = {key: value for key, value in element.items() if key not in taken}
    for key in chain.from_iterable(_tables(ignored)):
        if _names_pcr(key) or key.casefold() in _RELEASE_KEYS:
            raise InputError(
                "policyfile.unknown_key",
                f"a release has the key {reprlib.repr(key)}, which would be ignored, but may be a "
                "requirement; put PCRs into the release itself or its object Measurements, and "
                "delete other requirements",
            )
    inner = element.get("Measurements")
    if inner is None:
        return _enclave_set(named)
    if named:
        raise InputError(
            "policyfile.format", "a release has PCRs in Measurements and beside it; keep one"
        )
    return _enclave_set(inner)


def _instance_set(element: Mapping[str, Any]) -> NitroTpmMeasurementSet:
    measurements = element.get("Measurements")
    found = (
        NitroTpmMeasurementSet.from_named(measurements)
        if element.keys() == {"Measurements"} and isinstance(measurements, dict)
        else None
    )
    return _reference(found)


def _reference(found: NitroTpmMeasurementSet | None) -> NitroTpmMeasurementSet:
    if found is None or found.pcrs.keys() not in _REFERENCES:
        raise InputError(
            "policyfile.format",
            "expected the output of nitro-tpm-pcr-compute for an EC2 instance: an object "
            "Measurements of PCR4, PCR7 and PCR12, of which PCR7 or PCR12 may be missing; "
            "measurements of an enclave do not apply",
        )
    return found


def _register_set(element: Mapping[str, Any], index: int | None) -> MeasurementSet:
    if index is None:
        raise InputError(
            "policyfile.pcr_index",
            "the output of nitro-cli pcr --input does not name its PCR; pass pcr_index=",
        )
    [value] = element.values()
    return MeasurementSet({index: value})


def _selected(enclaves: Sequence[Mapping[str, Any]], name: str | None) -> Mapping[str, Any]:
    """Returns the only enclave, or the one with the given name or id (L-2)."""
    ids = [(enclave.get("EnclaveName"), enclave.get("EnclaveID")) for enclave in enclaves]
    chosen = [
        enclave for enclave, own in zip(enclaves, ids, strict=True) if name is None or name in own
    ]
    if len(chosen) == 1:
        return chosen[0]
    described = ", ".join(reprlib.repr(own[0] or own[1]) for own in ids)
    if name is None:
        problem = f"the file describes {len(ids)} enclaves ({described}); pass enclave_name="
    elif chosen:
        problem = f"{len(chosen)} enclaves are named {name!r}; pass an EnclaveID"
    else:
        problem = f"no enclave is named {name!r}; the file describes {described}"
    raise InputError("policyfile.format", problem)


def _enclave_policy(enclave: Mapping[str, Any]) -> Policy:
    """L-5: describe-enclaves prints the PCRs of the image even if the attested ones are zero."""
    caveats = [_UNATTESTED]
    if str(enclave.get("Flags")).casefold().startswith("debug"):
        caveats.append(_DEBUG_FLAG)
    return Policy([_image_set(enclave, _ENCLAVE_KEYS)], caveats=caveats)


_SET_OF: Final[dict[Form, Callable[[Mapping[str, Any]], MeasurementSet]]] = {
    "image": partial(_image_set, known=_IMAGE_KEYS),
    "flat": _enclave_set,
    "indices": _index_set,
    "statements": _statement_set,
    "lines": _enclave_set,
    "toml": _enclave_set,
    "history": _release_set,
}
"""The forms whose objects are measurement sets, and the function that makes one."""
