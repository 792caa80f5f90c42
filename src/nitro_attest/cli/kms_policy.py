"""``nitro-attest kms-policy``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

import click

from nitro_attest._internal.wording import plural
from nitro_attest.cli.exit_codes import EXIT_KEY_POLICY
from nitro_attest.cli.key_policy_text import FORMATS
from nitro_attest.cli.options import (
    ENCODINGS,
    EXISTING_FILE,
    VerbGroup,
    at_option,
    json_field_option,
    json_option,
    text,
)
from nitro_attest.cli.output import emit, escape, reject, shown_name, to_json, warn
from nitro_attest.cli.requirements import RequirementOptions, requirement_options
from nitro_attest.cli.source import Encoding, read_document, read_file
from nitro_attest.cli.trust import root_options, trusted_roots
from nitro_attest.errors import AttestationWarning, InputError, NitroAttestError
from nitro_attest.kms.findings import Finding
from nitro_attest.kms.lint import lint
from nitro_attest.kms.parse import MAX_KEY_POLICY_BYTES
from nitro_attest.kms.statements import (
    PLAINTEXT_ACTIONS,
    condition_block,
    nitrotpm_condition_block,
    nitrotpm_statements,
    statements,
    unenforced,
)
from nitro_attest.policy_files import policy_of_document
from nitro_attest.verification.policy import ANY_ENCLAVE, NitroTpmPolicy, Policy
from nitro_attest.verification.verifier import Verifier


@click.group("kms-policy", cls=VerbGroup)
def command() -> None:
    """Write and lint KMS key policies."""


@command.command("make", short_help="Write statements for a key policy.")
@requirement_options
@click.option(
    "--document",
    type=EXISTING_FILE,
    metavar="DOC",
    help="Take the expected PCRs from this document.",
)
@click.option(
    "--document-format",
    "encoding",
    type=click.Choice(ENCODINGS),
    help="Form of that document [recognised].",
)
@json_field_option
@root_options
@at_option("--document")
@click.option(
    "--principal",
    "principals",
    type=text,
    metavar="ARN",
    multiple=True,
    help="Role that may use the key; repeat for more.",
)
@click.option(
    "--action",
    "actions",
    type=click.Choice(PLAINTEXT_ACTIONS),
    multiple=True,
    help="Operation it may use; repeat for more [kms:Decrypt].",
)
@click.option("--condition-only", is_flag=True, help="Print a Condition instead of statements.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(tuple(FORMATS)),
    help="Form of the output: JSON, YAML for CloudFormation, or HCL for Terraform [json].",
)
@json_option("Print one JSON object, with the warnings.")
def _make(
    document: str | None,
    encoding: Encoding | None,
    json_field: str | None,
    root: tuple[str, ...],
    partition: str | None,
    at: datetime | Literal["now", "document"],
    principals: tuple[str, ...],
    actions: tuple[str, ...],
    condition_only: bool,
    output_format: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Write statements that allow plaintext only to enclaves or instances with the expected PCRs.

    Each measurement set becomes a statement. With --document, the document is verified first, and
    its PCR0, PCR1 and PCR2 are the expected ones.
    """
    if condition_only == bool(principals) or (condition_only and actions):
        raise click.UsageError(
            "expected either --principal or --condition-only, which takes no --action"
        )
    if as_json and output_format:
        raise click.UsageError("--json cannot be combined with --format")
    requirements = RequirementOptions(**options)
    if document is None:
        if root or partition or at != "now" or encoding or json_field:
            raise click.UsageError(
                "--root, --partition, --at, --document-format and --json-field require --document"
            )
        policy = requirements.policy()
    elif requirements.given or requirements.kind != "enclave":
        raise click.UsageError(
            "--document cannot be combined with --pcr, --policy, --eif, --provenance or "
            "--kind nitrotpm"
        )
    else:
        verifier = Verifier(trusted_roots(root, partition), policy=ANY_ENCLAVE)
        try:
            verified = verifier.verify(read_document(document, encoding, json_field), at=at)
        except NitroAttestError as error:
            return reject(document, error, as_json=False)
        policy = policy_of_document(verified.document).policy
    if condition_only:
        name, value = "condition", _condition(policy)
    else:
        name, value = "statements", _statements(policy, principals, actions or ("kms:Decrypt",))
    _report(name, value, policy, None if as_json else output_format or "json")
    return 0


def _condition(policy: Policy | NitroTpmPolicy) -> Any:
    if len(policy.measurements) > 1:
        raise InputError(
            "input.expected",
            f"expected one measurement set with --condition-only, found "
            f"{len(policy.measurements)}; one Condition for several sets would also allow mixtures "
            "of them, so use --principal to write statements",
        )
    if isinstance(policy, NitroTpmPolicy):
        return nitrotpm_condition_block(policy.measurements[0])
    return condition_block(policy.measurements[0])


def _statements(
    policy: Policy | NitroTpmPolicy, principals: Sequence[str], actions: Sequence[str]
) -> Any:
    if isinstance(policy, NitroTpmPolicy):
        return nitrotpm_statements(policy, principals=principals, actions=actions)
    return statements(policy, principals=principals, actions=actions)


def _report(
    name: str, value: Any, policy: Policy | NitroTpmPolicy, output_format: str | None
) -> None:
    """Prints the value in a format or, without one, as one JSON object with the warnings."""
    weaknesses = [*policy.weaknesses(), *_findings_on(value)]
    if output_format is None:
        warnings = [{"code": w.code, "message": w.message} for w in weaknesses]
        emit([to_json(**{name: value}, unenforced=unenforced(policy), warnings=warnings)])
        return
    emit(FORMATS[output_format](value))
    warn(weaknesses)
    if unenforced(policy):
        emit([f"KMS does not check: {', '.join(unenforced(policy))}"], to_stderr=True)


def _findings_on(value: Any) -> list[AttestationWarning]:
    """Returns what ``lint`` finds in a Condition, or in those of statements."""
    conditions = [item["Condition"] for item in value] if isinstance(value, list) else [value]
    allow = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    findings = [
        finding
        for condition in conditions
        for finding in lint(json.dumps({"Statement": {**allow, "Condition": condition}}))
    ]
    return [
        AttestationWarning(finding.code, f"{finding.message}; {finding.advice}")
        for finding in dict.fromkeys(findings)
    ]


@command.command("lint", short_help="List the weaknesses of a key policy.")
@click.argument("key_policy", type=EXISTING_FILE, metavar="FILE")
@json_option()
def _lint(key_policy: str, as_json: bool) -> int:
    """Find statements of the key policy in FILE that allow plaintext without attestation.

    FILE is JSON, or - for standard input. The exit code is 9 if there are errors.
    """
    try:
        findings = lint(read_file(key_policy, MAX_KEY_POLICY_BYTES))
    except InputError as error:
        return reject(key_policy, error, as_json)
    if as_json:
        emit([to_json(source=key_policy, findings=[finding.to_dict() for finding in findings])])
    else:
        emit(_finding_lines(key_policy, findings))
    failed = any(finding.severity == "error" for finding in findings)
    return EXIT_KEY_POLICY if failed else 0


def _finding_lines(source: str, findings: Sequence[Finding]) -> Iterator[str]:
    errors = sum(finding.severity == "error" for finding in findings)
    counts = f"{plural(errors, 'error')}, {plural(len(findings) - errors, 'warning')}"
    yield f"{'FAILED' if errors else 'PASSED'} ({counts}): {shown_name(source)}"
    for finding in findings:
        yield f"  {finding.severity} {finding.code} at {escape(finding.where) or 'the top level'}"
        yield f"    {finding.message}"
        yield f"    {finding.advice}"
