"""``nitro-attest policy``: writes a policy file, and checks and shows one of any form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import click

from nitro_attest._internal.wording import plural
from nitro_attest.cli import statement
from nitro_attest.cli.exit_codes import EXIT_REQUIREMENT
from nitro_attest.cli.options import EXISTING_FILE, VerbGroup, json_option, text
from nitro_attest.cli.output import emit, escape, reject, row, to_json, warn
from nitro_attest.cli.requirements import (
    RequirementOptions,
    enclave_file_options,
    loaded_policy,
    selection_options,
)
from nitro_attest.errors import NitroAttestError
from nitro_attest.measurements.pcr import pcr3_from_role_arn
from nitro_attest.policy_files import LoadedPolicy
from nitro_attest.verification.measurement_set import MeasurementSet
from nitro_attest.verification.policy import Policy


@click.group("policy", cls=VerbGroup)
def command() -> None:
    """Write, check and show policy files for enclaves; state measurements to be signed."""


command.add_command(statement.command)


@command.command("make", short_help="Write a policy file.")
@enclave_file_options
@click.option(
    "--role",
    "roles",
    type=text,
    metavar="ARN",
    multiple=True,
    help="IAM role of the parent instance (PCR3); repeat to allow any of several.",
)
@click.option("--name", type=text, help="Name of the measurement set in results, such as v1.4.2.")
def _make(roles: tuple[str, ...], name: str | None, **options: Any) -> int:
    """Print a policy file in the JSON form, with the requirements of all options.

    With several --role, each measurement set is written once for each role. Debug mode is not
    allowed, even if the file of --policy allows it.
    """
    policy = cast("Policy", RequirementOptions(**options).policy())  # there is no --kind
    sets = policy.measurements
    if name is not None:
        if len(sets) > 1:
            raise click.UsageError(f"--name: expected one measurement set, found {len(sets)}")
        sets = (MeasurementSet(sets[0].pcrs, name),)
    policy = replace(policy, measurements=(*_with_roles(sets, roles),))
    emit([json.dumps(policy.to_dict(), indent=2)])
    warn(policy.weaknesses())
    return 0


def _with_roles(sets: Sequence[MeasurementSet], roles: Sequence[str]) -> Iterator[MeasurementSet]:
    """Yields each set with PCR3 of each role; of several, the role is part of the set's name."""
    if not roles:
        yield from sets
    for item in sets:
        for role in roles:
            pinned = item.with_pins({3: pcr3_from_role_arn(role)})
            if len(roles) > 1:
                pinned = MeasurementSet(pinned.pcrs, f"{item.name or ''} {role}".strip())
            yield pinned


@command.command("check", short_help="Check that a policy file can be used.")
@click.argument("policy_file", type=EXISTING_FILE, metavar="FILE")
@selection_options
@click.option("--fail-on-warning", is_flag=True, help="Exit with 6 if the policy has warnings.")
@json_option()
def _check(policy_file: str, fail_on_warning: bool, as_json: bool, **selection: Any) -> int:
    """Read FILE as verify --policy does, and list its weaknesses."""
    try:
        loaded = loaded_policy(policy_file, **selection)
    except NitroAttestError as error:
        return reject(policy_file, error, as_json)
    counts = (
        plural(len(loaded.policy.measurements), "measurement set"),
        plural(len(loaded.warnings), "warning"),
    )
    headline = f"PASSED (form {loaded.form}, {', '.join(counts)}): {escape(policy_file)}"
    _report(policy_file, loaded, [headline], as_json)
    return EXIT_REQUIREMENT if fail_on_warning and loaded.warnings else 0


@command.command("show", short_help="Show what a policy file requires.")
@click.argument("policy_file", type=EXISTING_FILE, metavar="FILE")
@selection_options
@json_option("Print one JSON object, with the policy in the JSON form.")
def _show(policy_file: str, as_json: bool, **selection: Any) -> int:
    """Show the requirements of a policy file of any form."""
    try:
        loaded = loaded_policy(policy_file, **selection)
    except NitroAttestError as error:
        return reject(policy_file, error, as_json)
    _report(policy_file, loaded, _lines(policy_file, loaded), as_json)
    return 0


def _report(
    source: str, loaded: LoadedPolicy, lines: Iterator[str] | list[str], as_json: bool
) -> None:
    if as_json:
        warnings = [{"code": w.code, "message": w.message} for w in loaded.warnings]
        policy = loaded.policy.to_dict()
        emit([to_json(source=source, form=loaded.form, policy=policy, warnings=warnings)])
        return
    emit([*lines, *(row("warning", f"{w.code}: {w.message}") for w in loaded.warnings)])


def _lines(source: str, loaded: LoadedPolicy) -> Iterator[str]:
    policy = loaded.policy
    yield "POLICY: a verified document must match one measurement set and all other requirements"
    yield row("file", f"{source} (form {loaded.form})")
    for item in policy.measurements:
        yield row("set", item.name or "without a name")
        for index, value in item.pcrs.items():
            yield row(f"PCR{index}", value.hex())
    yield from _condition_lines(policy)


def _condition_lines(policy: Policy) -> Iterator[str]:
    yield row("debug mode", "allowed" if policy.allow_debug else "not allowed")
    yield row("maximum age", "any" if policy.max_age is None else str(policy.max_age))
    yield row("nonce", "required" if policy.require_nonce else "not required")
    for label, allowed in (
        ("module ids", policy.module_ids),
        ("instance ids", policy.instance_ids),
        ("regions", policy.regions),
    ):
        yield row(label, "any" if allowed is None else ", ".join(allowed))
