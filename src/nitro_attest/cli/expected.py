"""The options that say what an enclave or instance must be, and the policy that they make.

Where several of them speak, a document must satisfy all; two that contradict each other are misuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import click

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.cli.image import measure_image
from nitro_attest.cli.options import pcr_pin, text
from nitro_attest.cli.output import warn
from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_PCRS
from nitro_attest.policy_files import load_nitrotpm_policy, load_policy
from nitro_attest.verification.policy import NitroTpmPolicy, Policy

_OF_ENCLAVES: Final = (
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
        type=click.Path(exists=True, dir_okay=False),
        help="File with expected PCRs: a policy, or what nitro-cli or nitro-tpm-pcr-compute "
        "printed.",
    ),
    click.option(
        "--pcr-index",
        type=click.IntRange(0, MAX_PCRS - 1),
        metavar="N",
        help="Which PCR the output of nitro-cli pcr --input is.",
    ),
    click.option(
        "--eif",
        "image_file",
        type=click.Path(exists=True, dir_okay=False),
        metavar="IMAGE",
        help="Enclave image file that must be running.",
    ),
    click.option("--require-unsigned", is_flag=True, help="Refuse signed images (PCR8 is zero)."),
)
_OF_EITHER_KIND: Final = (
    click.option(
        "--kind",
        type=click.Choice(["enclave", "nitrotpm"]),
        default="enclave",
        help="What attests: an enclave, or a whole EC2 instance (NitroTPM) [enclave].",
    ),
    *_OF_ENCLAVES,
    click.option(
        "--enclave-name",
        type=text,
        metavar="NAME",
        help="Which one of several in describe-enclaves output.",
    ),
)


def enclave_options(command: Any) -> Any:
    """Adds what can be expected of an enclave; the values are keyword arguments of Expected."""
    return _with(_OF_ENCLAVES, command)


def expectation_options(command: Any) -> Any:
    """The same for enclaves and instances, with ``--kind`` and ``--enclave-name``."""
    return _with(_OF_EITHER_KIND, command)


def _with(options: Sequence[Callable[[Any], Any]], command: Any) -> Any:
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Expected:
    """The values of the options, as they were given."""

    pins: tuple[tuple[int, str], ...]
    policy_file: str | None
    pcr_index: int | None
    image_file: str | None
    require_unsigned: bool
    kind: Literal["enclave", "nitrotpm"] = "enclave"
    enclave_name: str | None = None

    @property
    def given(self) -> bool:
        """Whether any of the options was given, beside ``--kind``."""
        options = asdict(self)
        del options["kind"]
        return not all(v is None or v is False or v == () for v in options.values())

    def policy(self, *, allow_debug: bool = False) -> Policy | NitroTpmPolicy:
        """What a document must satisfy.

        Args:
            allow_debug: Accept debug mode, unless a policy file does not.

        Raises:
            InputError: ``policyfile.*``, ``input.*``: an option or file is wrong.
            ImageError: The image is.
        """
        policy = self._of_instance() if self.kind == "nitrotpm" else self._of_enclave(allow_debug)
        if policy is None:
            raise click.UsageError("say what is expected, with --policy, --pcr or --eif")
        return policy

    def _of_enclave(self, allow_debug: bool) -> Policy | None:
        policy = None
        if self.policy_file is not None:
            loaded = load_policy(
                self.policy_file, enclave_name=self.enclave_name, pcr_index=self.pcr_index
            )
            policy = loaded.policy
            if loaded.form == "policy":  # other forms say nothing about debug mode
                allow_debug = allow_debug and policy.allow_debug
        elif self.enclave_name is not None or self.pcr_index is not None:
            raise click.UsageError("--enclave-name and --pcr-index need --policy")
        for pins in self._pins():
            policy = Policy([pins]) if policy is None else policy.with_pins(pins)
        if policy is None:
            return None
        if self.require_unsigned:
            policy = policy.with_pins({8: ZERO_PCR})
        return replace(policy, allow_debug=allow_debug)

    def _of_instance(self) -> NitroTpmPolicy | None:
        of_enclaves = (self.image_file, self.enclave_name, self.pcr_index)
        if self.require_unsigned or any(value is not None for value in of_enclaves):
            raise click.UsageError(
                "--eif, --enclave-name, --pcr-index and --require-unsigned are about enclaves, not "
                "--kind nitrotpm"
            )
        policy = None if self.policy_file is None else load_nitrotpm_policy(self.policy_file)
        for pins in self._pins():
            policy = NitroTpmPolicy([pins]) if policy is None else policy.with_pins(pins)
        return policy

    def _pins(self) -> Iterator[Mapping[int, bytes | str]]:
        """What is expected beside the policy file: the quick before the slow."""
        values: dict[int, bytes | str] = {}
        for index, value in self.pins:
            if index in values:
                raise InputError("policyfile.duplicate", f"--pcr {index} was given twice")
            values[index] = value
        if values:
            yield values
        if self.image_file is not None:
            image = measure_image(self.image_file)
            warn(image.warnings)
            yield image.measurements()
