"""The options that require measurements, and the policy that they make.

A document must meet the requirements of all options; contradictory options are a usage error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

import click

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.cli.image import measure_image
from nitro_attest.cli.options import EXISTING_FILE, pcr_pin, text, with_options
from nitro_attest.cli.output import warn
from nitro_attest.cli.provenance import ProvenanceOptions, provenance_options
from nitro_attest.cli.source import read_start
from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_PCRS
from nitro_attest.policy_files import (
    FILE_FORMS,
    MAX_POLICY_FILE_BYTES,
    Form,
    LoadedPolicy,
    parse_nitrotpm_policy,
    parse_policy,
)
from nitro_attest.provenance import Provenance
from nitro_attest.verification.policy import AnyEnclave, AnyInstance, NitroTpmPolicy, Policy
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier

_FORM_OPTIONS: Final = (
    click.option(
        "--pcr-index",
        type=click.IntRange(0, MAX_PCRS - 1),
        metavar="N",
        help="Index of the PCR in nitro-cli pcr --input output.",
    ),
    click.option(
        "--policy-form",
        type=click.Choice(FILE_FORMS),
        help="The only form of policy file to accept; history and toml ignore other keys.",
    ),
)
_NAME_OPTION: Final = click.option(
    "--enclave-name",
    type=text,
    metavar="NAME",
    help="The enclave to use from describe-enclaves output.",
)
_ENCLAVE_OPTIONS: Final = (
    click.option(
        "--pcr",
        "pins",
        type=pcr_pin,
        metavar="N=HEX",
        multiple=True,
        help="Expected PCR; repeat for more.",
    ),
    click.option(
        "--policy",
        "policy_file",
        type=EXISTING_FILE,
        help="File with expected PCRs: a policy, or the output of nitro-cli or "
        "nitro-tpm-pcr-compute.",
    ),
    *_FORM_OPTIONS,
    click.option(
        "--eif",
        "image_file",
        type=EXISTING_FILE,
        metavar="IMAGE",
        help="Enclave image file that the enclave must run.",
    ),
    *provenance_options,
    click.option(
        "--require-unsigned", is_flag=True, help="Reject signed images: require zeros in PCR8."
    ),
)
_OPTIONS: Final = (
    click.option(
        "--kind",
        type=click.Choice(["enclave", "nitrotpm"]),
        default="enclave",
        help="Kind of document: of an enclave, or of an EC2 instance with NitroTPM [enclave].",
    ),
    *_ENCLAVE_OPTIONS,
    _NAME_OPTION,
)


def enclave_requirement_options(command: Any) -> Any:
    """Adds requirements for enclaves; the values are keyword arguments of RequirementOptions."""
    return with_options(_ENCLAVE_OPTIONS, command)


def enclave_file_options(command: Any) -> Any:
    """Adds requirements for enclaves, with ``--enclave-name`` for a policy file."""
    return with_options((*_ENCLAVE_OPTIONS, _NAME_OPTION), command)


def selection_options(command: Any) -> Any:
    """Adds the options for reading a policy file; ``loaded_policy`` takes their values."""
    return with_options((*_FORM_OPTIONS, _NAME_OPTION), command)


def loaded_policy(
    name: str,
    enclave_name: str | None,
    pcr_index: int | None,
    policy_form: Form | None,
) -> LoadedPolicy:
    """Reads a policy file for enclaves, or stdin for ``-``.

    Raises:
        InputError: ``input.file`` or ``policyfile.*``.
    """
    return parse_policy(
        read_start(name, MAX_POLICY_FILE_BYTES),
        enclave_name=enclave_name,
        pcr_index=pcr_index,
        policy_form=policy_form,
    )


def requirement_options(command: Any) -> Any:
    """Adds requirements for enclaves and instances, with ``--kind`` and ``--enclave-name``."""
    return with_options(_OPTIONS, command)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementOptions(ProvenanceOptions):
    """The values of the requirement options, as given."""

    pins: tuple[tuple[int, str], ...]
    policy_file: str | None
    pcr_index: int | None
    image_file: str | None
    require_unsigned: bool
    policy_form: Form | None = None
    kind: Literal["enclave", "nitrotpm"] = "enclave"
    enclave_name: str | None = None

    @property
    def given(self) -> bool:
        """True if any of the options but ``--kind`` is given."""
        options = asdict(self)
        del options["kind"]
        return not all(v is None or v is False or v == () for v in options.values())

    def policy(self, *, allow_debug: bool = False) -> Policy | NitroTpmPolicy:
        """Returns the policy that combines all options; arguments and errors as for ``load``."""
        policy, _ = self.load(allow_debug=allow_debug)
        return policy

    def load(
        self, *, allow_debug: bool = False
    ) -> tuple[Policy | NitroTpmPolicy, Provenance | None]:
        """Returns the policy that combines all options, and the statement of ``--provenance``.

        Args:
            allow_debug: Accept debug mode, unless a policy file does not.

        Raises:
            InputError: ``policyfile.*``, ``provenance.*``, ``input.*``: an invalid option or file.
            ImageError: ``eif.*``: a malformed image.
            click.UsageError: No measurements are required, or options cannot be combined.
        """
        provenance = None
        if self.kind == "nitrotpm":
            policy: Policy | NitroTpmPolicy | None = self._instance_policy()
        else:
            if self.provenance_file is not None and self.policy_file is not None:
                raise click.UsageError("--provenance cannot be combined with --policy")
            provenance = self.provenance()
            if provenance is not None and self.image_file is not None:
                provenance.check_image(self.image_file)
            policy = self._enclave_policy(allow_debug, provenance)
        if policy is None:
            raise click.UsageError(
                "no measurements are required; use --policy, --pcr, --eif or --provenance"
            )
        return policy, provenance

    def _enclave_policy(self, allow_debug: bool, provenance: Provenance | None) -> Policy | None:
        policy = None if provenance is None else provenance.policy()
        if self.policy_file is not None:
            loaded = loaded_policy(
                self.policy_file, self.enclave_name, self.pcr_index, self.policy_form
            )
            policy = loaded.policy
            if loaded.form == "policy":  # no other form has a key for debug mode
                allow_debug = allow_debug and policy.allow_debug
        elif (self.enclave_name, self.pcr_index, self.policy_form) != (None, None, None):
            raise click.UsageError("--enclave-name, --pcr-index and --policy-form require --policy")
        for pins in self._pins():
            policy = Policy([pins]) if policy is None else policy.with_pins(pins)
        if policy is None:
            return None
        if self.require_unsigned:
            policy = policy.with_pins({8: ZERO_PCR})
        return replace(policy, allow_debug=allow_debug)

    def _instance_policy(self) -> NitroTpmPolicy | None:
        enclave_only = (
            *(self.image_file, self.enclave_name, self.pcr_index, self.policy_form),
            *(getattr(self, each.name) for each in fields(ProvenanceOptions)),
        )
        if self.require_unsigned or any(value is not None for value in enclave_only):
            raise click.UsageError(
                "--eif, --enclave-name, --pcr-index, --policy-form, --provenance and "
                "--require-unsigned cannot be used with --kind nitrotpm"
            )
        policy = None
        if self.policy_file is not None:
            policy = parse_nitrotpm_policy(read_start(self.policy_file, MAX_POLICY_FILE_BYTES))
        for pins in self._pins():
            policy = NitroTpmPolicy([pins]) if policy is None else policy.with_pins(pins)
        return policy

    def _pins(self) -> Iterator[Mapping[int, bytes | str]]:
        """Yields the PCRs of ``--pcr``, then those of ``--eif``, which takes longer."""
        values: dict[int, bytes | str] = {}
        for index, value in self.pins:
            if index in values:
                raise InputError("policyfile.duplicate", f"--pcr {index} is given more than once")
            values[index] = value
        if values:
            yield values
        if self.image_file is not None:
            image = measure_image(self.image_file)
            warn(image.warnings)
            yield image.measurements()


def policy_of(
    requirements: RequirementOptions, any_enclave: bool, any_instance: bool, allow_debug: bool
) -> tuple[Policy | NitroTpmPolicy | AnyEnclave | AnyInstance, Provenance | None]:
    """Returns the policy of the options, and the statement of ``--provenance``.

    Without required measurements, the policy accepts any enclave or any instance.

    Raises:
        ImageError, InputError: A malformed image or policy file.
        click.UsageError: Options cannot be combined.
    """
    for_instances = requirements.kind == "nitrotpm"
    if (any_enclave or allow_debug) and for_instances:
        raise click.UsageError(
            "--any-enclave and --allow-debug cannot be used with --kind nitrotpm"
        )
    if any_instance and not for_instances:
        raise click.UsageError("--any-instance requires --kind nitrotpm")
    if requirements.given:
        if any_instance:
            raise click.UsageError("--any-instance cannot be combined with --pcr or --policy")
        if any_enclave:
            raise click.UsageError(
                "--any-enclave cannot be combined with --pcr, --policy, --eif or --provenance"
            )
        return requirements.load(allow_debug=allow_debug)
    if for_instances:
        return AnyInstance(explicit=any_instance), None
    return AnyEnclave(allow_debug=allow_debug, explicit=any_enclave), None


def verifier_of(
    policy: Policy | NitroTpmPolicy | AnyEnclave | AnyInstance, roots: TrustedRoots, **settings: Any
) -> Verifier | NitroTpmVerifier:
    """Returns the verifier for the kind of documents that the policy is for."""
    if isinstance(policy, (NitroTpmPolicy, AnyInstance)):
        return NitroTpmVerifier(roots, policy=policy, **settings)
    return Verifier(roots, policy=policy, **settings)
