"""Expected PCR values from their inputs, compared with published values."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.errors import InputError
from nitro_attest.measurements import (
    extend,
    image_measurement,
    pcr3_from_role_arn,
    pcr4_from_instance_id,
    pcr8_from_certificate,
    replay,
)
from nitro_attest.measurements.pcr import first_pem_certificate

ROOT = Path(__file__).parents[3]
VECTORS: dict[str, Any] = json.loads((ROOT / "fixtures/vectors/measurements.json").read_text())
AWS_ROOT_PEM = (ROOT / "src/nitro_attest/verification/aws_roots/aws.pem").read_bytes()


def cases(kind: str) -> Any:
    return pytest.mark.parametrize("case", VECTORS[kind], ids=lambda case: case["id"])


def rejection(error: pytest.ExceptionInfo[InputError]) -> str:
    assert error.value.code == "input.expected"
    return error.value.message


@cases("pcr3")
def test_pcr3_worked_value(case: dict[str, Any]) -> None:
    assert pcr3_from_role_arn(case["role_arn"]).hex() == case["pcr"]


@cases("pcr4")
def test_pcr4_worked_value_hashes_once(case: dict[str, Any]) -> None:
    value = pcr4_from_instance_id(case["instance_id"])
    twice = image_measurement(hashlib.sha384(case["instance_id"].encode()).digest())
    assert value.hex() == case["pcr"]
    assert twice.hex() == case["hashed_twice"]
    assert value != twice


@cases("pcr8")
def test_pcr8_worked_value_from_pem_and_der(case: dict[str, Any]) -> None:
    pem = (ROOT / case["certificate"]).read_bytes()
    der = first_pem_certificate(pem)
    assert hashlib.sha256(der).hexdigest() == case["der_sha256"]
    assert pcr8_from_certificate(pem).hex() == case["pcr"]
    assert pcr8_from_certificate(der).hex() == case["pcr"]


@cases("image_measurement")
def test_image_measurement_worked_value(case: dict[str, Any]) -> None:
    digest = hashlib.sha384(bytes.fromhex(case["data"])).digest()
    assert image_measurement(digest).hex() == case["pcr"]


@cases("replay")
def test_replay_worked_value(case: dict[str, Any]) -> None:
    assert replay(bytes.fromhex(data) for data in case["extends"]).hex() == case["pcr"]


@cases("replay_events")
def test_replay_of_event_digests_worked_value(case: dict[str, Any]) -> None:
    digests = [hashlib.sha384(bytes.fromhex(event)).digest() for event in case["events"]]
    assert replay(digests).hex() == case["pcr"]


def test_replay_starts_from_a_given_value() -> None:
    assert replay([b"two"], start=replay([b"one"])) == replay([b"one", b"two"])
    assert replay([]) == ZERO_PCR


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws-us-gov:iam::123456789012:role/Webserver",
        "arn:aws-cn:iam::123456789012:role/Webserver",
        "arn:aws:iam::123456789012:role/service/team-a/Web_server+=,.@-1",
    ],
)
def test_pcr3_accepts_other_partitions_and_paths(arn: str) -> None:
    assert pcr3_from_role_arn(arn) == hashlib.sha384(bytes(48) + arn.encode()).digest()


@pytest.mark.parametrize(
    ("arn", "suggestion"),
    [
        (
            "arn:aws:sts::123456789012:assumed-role/Webserver/i-1234567890abcdef0",
            "arn:aws:iam::123456789012:role/Webserver ",
        ),
        (
            "arn:aws-us-gov:sts::123456789012:assumed-role/Webserver",
            "arn:aws-us-gov:iam::123456789012:role/Webserver ",
        ),
        (
            "arn:aws:iam::123456789012:instance-profile/team/Webserver",
            "arn:aws:iam::123456789012:role/team/Webserver ",
        ),
    ],
)
def test_pcr3_suggests_the_role_for_other_kinds_of_arn(arn: str, suggestion: str) -> None:
    with pytest.raises(InputError) as error:
        pcr3_from_role_arn(arn)
    assert suggestion in rejection(error)


@pytest.mark.parametrize(
    "arn",
    [
        "Webserver",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::12345678901:role/Webserver",
        "arn:aws:iam::123456789012:user/Webserver",
        "arn:aws:iam:us-east-1:123456789012:role/Webserver",
        "arn:aws:sts::123456789012:federated-user/Webserver",
        "arn:azure:iam::123456789012:role/Webserver",
        "arn:aws:iam::" + "\uff11" * 12 + ":role/Webserver",
        "arn:aws:iam::123456789012:role/" + "a" * 65,
    ],
)
def test_pcr3_rejects_text_other_than_a_role_arn(arn: str) -> None:
    with pytest.raises(InputError) as error:
        pcr3_from_role_arn(arn)
    assert "arn:aws:iam::123456789012:role/Name" in rejection(error)


@pytest.mark.parametrize("space", [" ", "\n", "\t", "\u00a0"])
@pytest.mark.parametrize(
    ("function", "text"),
    [
        (pcr3_from_role_arn, "arn:aws:iam::123456789012:role/Webserver"),
        (pcr4_from_instance_id, "i-1234567890abcdef0"),
    ],
)
def test_white_space_that_would_be_measured_is_rejected(
    function: Any, text: str, space: str
) -> None:
    for spaced in (text + space, space + text):
        with pytest.raises(InputError) as error:
            function(spaced)
        assert "white space" in rejection(error)


@pytest.mark.parametrize("function", [pcr3_from_role_arn, pcr4_from_instance_id])
@pytest.mark.parametrize("nothing", ["", None, b"i-1234567890abcdef0"])
def test_empty_or_not_text_is_rejected(function: Any, nothing: Any) -> None:
    with pytest.raises(InputError) as error:
        function(nothing)
    assert " as text, found " in rejection(error)


def test_pcr4_accepts_both_lengths_of_instance_ids() -> None:
    assert pcr4_from_instance_id("i-1234abcd") == extend(ZERO_PCR, b"i-1234abcd")


@pytest.mark.parametrize(
    "instance_id", ["1234567890abcdef0", "i-1234567890ABCDEF0", "i-1234567890abcdef", "i-", "i-xyz"]
)
def test_pcr4_rejects_text_other_than_an_instance_id(instance_id: str) -> None:
    with pytest.raises(InputError) as error:
        pcr4_from_instance_id(instance_id)
    assert "i-1234567890abcdef0" in rejection(error)


def test_pcr4_finds_the_instance_in_an_enclave_id() -> None:
    with pytest.raises(InputError) as error:
        pcr4_from_instance_id("i-1234567890abcdef0-enc0123456789abcdef")
    assert "use its instance i-1234567890abcdef0" in rejection(error)


def test_s4_only_the_first_certificate_of_a_chain_is_measured() -> None:
    other = (ROOT / "src/nitro_attest/verification/aws_roots/aws-us-gov.pem").read_bytes()
    first = pcr8_from_certificate(AWS_ROOT_PEM)
    assert pcr8_from_certificate(b"Subject: CN=aws\n" + AWS_ROOT_PEM + other) == first
    assert pcr8_from_certificate(other + AWS_ROOT_PEM) != first


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a certificate",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n" + AWS_ROOT_PEM,
        b"-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n" + AWS_ROOT_PEM,
        AWS_ROOT_PEM.replace(b"\n", b" "),
        AWS_ROOT_PEM.replace(b"hem9u", b"\r\n\r\nhem9u"),
        AWS_ROOT_PEM.replace(b"-----\nMII", b"-----\n\nMII"),
        AWS_ROOT_PEM.rstrip() + b"x\n",
        AWS_ROOT_PEM.replace(b"z3/Y=", b"z3/Z="),
        b"x" + AWS_ROOT_PEM,
        first_pem_certificate(AWS_ROOT_PEM) + b"\x00",
        first_pem_certificate(AWS_ROOT_PEM)[:-1],
    ],
)
def test_pcr8_rejects_data_other_than_one_certificate(data: bytes) -> None:
    with pytest.raises(InputError) as error:
        pcr8_from_certificate(data)
    assert "certificate" in rejection(error).lower()


@pytest.mark.parametrize("base64", [b"AAAA==", b"AAB=", b"AAA"])
def test_s4_a_block_with_noncanonical_base64_is_rejected(base64: bytes) -> None:
    with pytest.raises(InputError, match="the PEM certificate is damaged"):
        first_pem_certificate(
            b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n" % base64
        )


def test_wrong_types_and_lengths_are_input_errors() -> None:
    text: Any = "text"
    numbers: Any = [1, 2, 3]
    one_extend: Any = b"\x01\x02\x03"
    wrong: list[Any] = [
        lambda: extend(bytes(47), b""),
        lambda: extend(bytes(48), text),
        lambda: image_measurement(bytes(32)),
        lambda: pcr8_from_certificate(text),
        lambda: replay(one_extend),
        lambda: replay(numbers),
        lambda: replay([], start=b""),
    ]
    for call in wrong:
        with pytest.raises(InputError) as error:
            call()
        assert rejection(error)


def test_computing_a_pcr_loads_no_cryptography() -> None:
    program = (
        "import sys\n"
        "from nitro_attest.measurements import pcr4_from_instance_id\n"
        "pcr4_from_instance_id('i-1234567890abcdef0')\n"
        "loaded = {'cryptography', 'cbor2', 'cffi', 'click'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
