"""``nitro-attest kms-policy``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

import click

from nitro_attest.cli.expected import Expected, expectation_options
from nitro_attest.cli.options import moment, text
from nitro_attest.cli.output import emit, escape, refuse, to_json, warn
from nitro_attest.cli.source import read_document, read_file
from nitro_attest.cli.trust import root_options, trusted_roots
from nitro_attest.errors import InputError, KmsError
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


@click.group("kms-policy")
def command() -> None:
    """Make and judge KMS key policies."""


@command.command("make")
@expectation_options
@click.option("--document", type=text, metavar="DOC", help="Expect what this document says.")
@root_options
@click.option(
    "--at",
    type=moment,
    metavar="now|document|TIME",
    default="now",
    help="Time to judge DOC at [now].",
)
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
    help="What it may do; repeat for more [kms:Decrypt].",
)
@click.option("--condition-only", is_flag=True, help="Print a Condition instead of statements.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with the warnings.")
def _make(
    document: str | None,
    root: str | None,
    partition: str | None,
    at: datetime | Literal["now", "document"],
    principals: tuple[str, ...],
    actions: tuple[str, ...],
    condition_only: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Make statements that let KMS give plaintext to what is expected only.

    Each measurement set becomes a statement. A document is verified first; then its PCR0, PCR1 and
    PCR2 are what is expected.
    """
    if condition_only == bool(principals) or (condition_only and actions):
        raise click.UsageError("give --principal, or else --condition-only without --action")
    expected = Expected(**options)
    if document is None:
        if root or partition or at != "now":
            raise click.UsageError("--root, --partition and --at are about --document")
        policy = expected.policy()
    elif expected.given or expected.kind != "enclave":
        raise click.UsageError("--document and other expectations contradict each other")
    else:
        verifier = Verifier(trusted_roots(root, partition), policy=ANY_ENCLAVE)
        verified = verifier.verify(read_document(document, "auto"), at=at)
        policy = policy_of_document(verified.document).policy
    if condition_only:
        name, answer = "condition", _condition(policy)
    else:
        name, answer = "statements", _statements(policy, principals, actions or ("kms:Decrypt",))
    _report(name, answer, policy, as_json)
    return 0


def _condition(policy: Policy | NitroTpmPolicy) -> Any:
    if len(policy.measurements) > 1:
        raise InputError(
            "input.expected",
            f"there are {len(policy.measurements)} measurement sets, and one Condition for all "
            "would also allow mixtures of them; make statements instead",
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


def _report(name: str, answer: Any, policy: Policy | NitroTpmPolicy, as_json: bool) -> None:
    notices = policy.weaknesses()
    if as_json:
        warnings = [{"code": n.code, "message": n.message} for n in notices]
        emit([to_json(**{name: answer}, unenforced=unenforced(policy), warnings=warnings)])
        return
    emit([json.dumps(answer, indent=2)])
    warn(notices)
    if unenforced(policy):
        emit([f"KMS does not check: {', '.join(unenforced(policy))}"], to_stderr=True)


@command.command("lint")
@click.argument("key_policy", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def _lint(key_policy: str, as_json: bool) -> int:
    """Find the holes of the key policy in FILE through which plaintext leaves unattested.

    FILE is JSON, or - for standard input. The exit code is 9 if there is any.
    """
    try:
        findings = lint(read_file(key_policy, MAX_KEY_POLICY_BYTES))
    except InputError as error:
        return refuse(key_policy, error, as_json)
    if as_json:
        emit([to_json(source=key_policy, findings=[finding.to_dict() for finding in findings])])
    else:
        emit(_finding_lines(key_policy, findings))
    holes = any(finding.severity == "error" for finding in findings)
    return KmsError.exit_code if holes else 0


def _finding_lines(source: str, findings: Sequence[Finding]) -> Iterator[str]:
    errors = sum(finding.severity == "error" for finding in findings)
    headline = "HOLES FOUND" if errors else "NO HOLES FOUND"
    yield f"{headline} (errors: {errors}, warnings: {len(findings) - errors}): {escape(source)}"
    for finding in findings:
        yield f"  {finding.severity} {finding.code} at {escape(finding.where) or 'the top'}"
        yield f"    {finding.message}"
        yield f"    {finding.advice}"
