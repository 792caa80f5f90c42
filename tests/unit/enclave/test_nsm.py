"""Requests to the NSM and its answers, byte by byte (N-1 to N-6), with a fake kernel."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest.enclave import nsm as nsm_module
from nitro_attest.enclave.nsm import Nsm, NsmDescription, PcrDescription
from nitro_attest.errors import EnclaveError, InputError

VECTORS = json.loads(
    (Path(__file__).parents[3] / "fixtures" / "vectors" / "nsm.json").read_text("utf-8")
)
DESCRIPTION = {
    "version_major": 1,
    "version_minor": 0,
    "version_patch": 0,
    "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
    "max_pcrs": 32,
    "locked_pcrs": [1, 0, 2],
    "digest": "SHA384",
}
GOOD_ANSWERS: dict[str, Any] = {
    "attest": {"Attestation": {"document": b"document"}},
    "describe_nsm": {"DescribeNSM": DESCRIPTION},
    "describe_pcr": {"DescribePCR": {"lock": True, "data": bytes(48)}},
    "extend_pcr": {"ExtendPCR": {"data": bytes(48)}},
    "lock_pcr": "LockPCR",
    "lock_pcrs": "LockPCRs",
    "get_random": {"GetRandom": {"random": bytes(256)}},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "attest": {},
    "describe_nsm": {},
    "describe_pcr": {"index": 0},
    "extend_pcr": {"index": 16, "data": b"x"},
    "lock_pcr": {"index": 16},
    "lock_pcrs": {"count": 17},
    "get_random": {},
}


class Kernel:
    """Replaces ``fcntl.ioctl``: reads the request from memory, and writes the answer there."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.commands: list[int] = []
        self.capacities: list[int] = []
        self.answer: bytes = b""
        self.length: int | None = None
        self.before: Callable[[int], None] = lambda descriptor: None

    def ioctl(self, descriptor: int, command: int, message: bytearray) -> int:
        self.before(descriptor)
        raw = (ctypes.c_uint64 * 4).from_buffer(message)
        self.commands.append(command)
        self.requests.append(ctypes.string_at(raw[0], raw[1]))
        self.capacities.append(raw[3])
        ctypes.memmove(raw[2], self.answer, len(self.answer))
        raw[3] = len(self.answer) if self.length is None else self.length
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(nsm_module.fcntl, "ioctl", kernel.ioctl)
    return kernel


@pytest.fixture
def nsm(kernel: Kernel) -> Iterator[Nsm]:
    with Nsm(os.devnull) as device:
        yield device


def call(nsm: Nsm, method: str, arguments: dict[str, Any] | None = None) -> Any:
    chosen = ARGUMENTS[method] if arguments is None else arguments
    return getattr(nsm, method)(
        **{
            name: bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
            for name, value in chosen.items()
        }
    )


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda vector: vector["id"])
def test_n3_request_bytes(nsm: Nsm, kernel: Kernel, vector: dict[str, Any]) -> None:
    kernel.answer = cbor2.dumps(GOOD_ANSWERS[vector["method"]])
    call(nsm, vector["method"], vector["arguments"])
    assert kernel.requests == [bytes.fromhex(vector["request"])]
    assert kernel.commands == [0xC0200A00]


@pytest.mark.parametrize("vector", VECTORS["answers"], ids=lambda vector: vector["id"])
def test_n3_answer_bytes(nsm: Nsm, kernel: Kernel, vector: dict[str, Any]) -> None:
    kernel.answer = bytes.fromhex(vector["answer"])
    if "code" in vector:
        with pytest.raises(EnclaveError) as caught:
            call(nsm, vector["method"], vector["arguments"])
        assert caught.value.code == vector["code"]
        return
    result = call(nsm, vector["method"], vector["arguments"])
    if vector["result"] is None:
        assert result is None
    else:
        assert (result.lock, result.data.hex()) == (
            vector["result"]["lock"],
            vector["result"]["data"],
        )


def test_n1_the_whole_response_buffer_is_always_offered(nsm: Nsm, kernel: Kernel) -> None:
    for method, answer in GOOD_ANSWERS.items():
        kernel.answer = cbor2.dumps(answer)
        call(nsm, method)
    assert set(kernel.capacities) == {12288}


def test_n1_the_longest_answer_is_complete(nsm: Nsm, kernel: Kernel) -> None:
    overhead = len(cbor2.dumps({"Attestation": {"document": bytes(12000)}})) - 12000
    document = os.urandom(12288 - overhead)
    kernel.answer = cbor2.dumps({"Attestation": {"document": document}})
    assert len(kernel.answer) == 12288
    assert nsm.attest() == document


@pytest.fixture(params=["cbor2 6.1", "cbor2 5.9"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are decoded as with either release, as far as the installed one can."""
    if request.param == "cbor2 5.9":
        monkeypatch.setattr("nitro_attest.enclave.nsm._CAN_REJECT_DUPLICATES", False)


@pytest.mark.usefixtures("decoder")
def test_results_are_typed(nsm: Nsm, kernel: Kernel) -> None:
    results = {}
    for method, answer in GOOD_ANSWERS.items():
        kernel.answer = cbor2.dumps(answer)
        results[method] = call(nsm, method)
    assert results == {
        "attest": b"document",
        "describe_nsm": NsmDescription(
            1, 0, 0, "i-0123456789abcdef0-enc0123456789abcdef", 32, (0, 1, 2), "SHA384"
        ),
        "describe_pcr": PcrDescription(True, bytes(48)),
        "extend_pcr": bytes(48),
        "lock_pcr": None,
        "lock_pcrs": None,
        "get_random": bytes(256),
    }


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("InvalidArgument", "nsm.invalid_argument"),
        ("InvalidIndex", "nsm.invalid_index"),
        ("InvalidResponse", "nsm.invalid_response"),
        ("ReadOnlyIndex", "nsm.read_only_index"),
        ("InvalidOperation", "nsm.invalid_operation"),
        ("BufferTooSmall", "nsm.buffer_too_small"),
        ("InputTooLarge", "nsm.input_too_large"),
        ("InternalError", "nsm.internal_error"),
        ("Success", "nsm.response"),
        ("Unheard", "nsm.response"),
    ],
)
def test_each_error_name_of_the_nsm_has_a_code(
    nsm: Nsm, kernel: Kernel, name: str, code: str
) -> None:
    kernel.answer = cbor2.dumps({"Error": name})
    with pytest.raises(EnclaveError, match=name) as caught:
        nsm.extend_pcr(0, b"x")
    assert caught.value.code == code


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(
    ("method", "answer"),
    [
        pytest.param("attest", b"\xff", id="not_cbor"),
        pytest.param("attest", cbor2.dumps(GOOD_ANSWERS["attest"]) + b"\0", id="trailing_byte"),
        pytest.param("attest", cbor2.dumps(GOOD_ANSWERS["get_random"]), id="other_request"),
        pytest.param("attest", cbor2.dumps("Attestation"), id="name_alone"),
        pytest.param("attest", cbor2.dumps({"Attestation": {"document": b""}}), id="empty"),
        pytest.param("attest", cbor2.dumps({"Attestation": {"document": "x"}}), id="text"),
        pytest.param("attest", cbor2.dumps({"Attestation": {}}), id="key_missing"),
        pytest.param(
            "attest", cbor2.dumps({"Attestation": {"document": b"x", "more": 1}}), id="key_unknown"
        ),
        pytest.param(
            "attest",
            bytes.fromhex(
                "a16b4174746573746174696f6ea268646f63756d656e74417868646f63756d656e744179"
            ),
            id="key_twice",
        ),
        pytest.param("attest", b"\x81" * 100 + b"\x00", id="deep"),
        pytest.param("lock_pcr", cbor2.dumps({"LockPCR": {}}), id="unit_with_map"),
        pytest.param("lock_pcr", cbor2.dumps("LockPCRs"), id="other_unit"),
        pytest.param("get_random", cbor2.dumps({"GetRandom": {"random": b""}}), id="random_empty"),
        pytest.param(
            "get_random", cbor2.dumps({"GetRandom": {"random": bytes(257)}}), id="random_257"
        ),
        pytest.param(
            "describe_pcr", cbor2.dumps({"DescribePCR": {"lock": 1, "data": bytes(48)}}), id="lock"
        ),
        pytest.param(
            "describe_pcr",
            cbor2.dumps({"DescribePCR": {"lock": True, "data": bytes(47)}}),
            id="pcr_47",
        ),
        pytest.param("extend_pcr", cbor2.dumps({"ExtendPCR": {"data": bytes(64)}}), id="pcr_64"),
        *(
            pytest.param(
                "describe_nsm", cbor2.dumps({"DescribeNSM": {**DESCRIPTION, key: value}}), id=key
            )
            for key, value in {
                "version_major": -1,
                "version_minor": 1 << 4000,
                "version_patch": True,
                "max_pcrs": 65536,
                "module_id": "",
                "locked_pcrs": ["0"],
                "digest": b"SHA384",
            }.items()
        ),
    ],
)
def test_n3_a_malformed_answer_is_rejected(
    nsm: Nsm, kernel: Kernel, method: str, answer: bytes
) -> None:
    kernel.answer = answer
    with pytest.raises(EnclaveError) as caught:
        call(nsm, method)
    assert caught.value.code == "nsm.response"


def test_n3_cbor2_5_9_rejects_what_it_cannot_tell_from_duplicate_keys(
    nsm: Nsm, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nitro_attest.enclave.nsm._CAN_REJECT_DUPLICATES", False)
    good = cbor2.dumps(GOOD_ANSWERS["attest"])
    tagged, indefinite, long_head = (
        b"\xd9\xd9\xf7" + good,
        b"\xbf" + good[1:] + b"\xff",
        b"\xb8\x01",
    )
    for answer in (tagged, indefinite, long_head + good[1:]):
        kernel.answer = answer
        with pytest.raises(EnclaveError, match="malformed answer: a tag, an indefinite") as caught:
            nsm.attest()
        assert caught.value.code == "nsm.response"


@pytest.mark.parametrize("length", [0, 12289, 1 << 63])
def test_n1_an_answer_length_out_of_range_is_rejected(
    nsm: Nsm, kernel: Kernel, length: int
) -> None:
    kernel.length = length
    with pytest.raises(EnclaveError) as caught:
        nsm.get_random()
    assert caught.value.code == "nsm.response"


CBOR = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=64) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Attestation", "DescribeNSM", "DescribePCR", "Error", "document", "lock", "data"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(
    answer=st.binary(min_size=1, max_size=64) | CBOR.map(cbor2.dumps),
    method=st.sampled_from(sorted(ARGUMENTS)),
)
def test_any_answer_is_a_result_or_an_enclave_error(answer: bytes, method: str) -> None:
    kernel = Kernel()
    kernel.answer = answer
    with pytest.MonkeyPatch.context() as patch, Nsm(os.devnull) as nsm:
        patch.setattr(nsm_module.fcntl, "ioctl", kernel.ioctl)
        try:
            call(nsm, method)
            code = "nsm.answered"
        except EnclaveError as error:
            code = error.code
    assert code.startswith("nsm.")


def test_n6_the_largest_request_is_sent(nsm: Nsm, kernel: Kernel) -> None:
    kernel.answer = cbor2.dumps(GOOD_ANSWERS["attest"])
    nsm.attest(user_data=bytes(4050))
    assert len(kernel.requests[0]) == 4096


def test_n6_a_request_that_is_one_byte_too_long_is_not_sent(nsm: Nsm, kernel: Kernel) -> None:
    with pytest.raises(InputError, match="4097 bytes") as caught:
        nsm.attest(user_data=bytes(4051))
    assert caught.value.code == "input.nsm"
    assert kernel.requests == []


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("attest", {"nonce": "00"}),
        ("attest", {"user_data": bytearray(1)}),
        ("attest", {"public_key": 1}),
        ("describe_pcr", {"index": -1}),
        ("describe_pcr", {"index": 32}),
        ("describe_pcr", {"index": True}),
        ("extend_pcr", {"index": 16, "data": "x"}),
        ("extend_pcr", {"index": 16, "data": bytes(4096)}),
        ("lock_pcr", {"index": "16"}),
        ("lock_pcrs", {"count": 0}),
        ("lock_pcrs", {"count": 33}),
    ],
)
def test_n4_a_request_with_an_invalid_argument_is_not_sent(
    nsm: Nsm, kernel: Kernel, method: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InputError) as caught:
        call(nsm, method, arguments)
    assert caught.value.code == "input.nsm"
    assert kernel.requests == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ETIMEDOUT, "nsm.timeout"), (errno.ENOTTY, "nsm.device"), (errno.EIO, "nsm.device")],
)
def test_n2_a_driver_error_has_a_code(nsm: Nsm, kernel: Kernel, number: int, code: str) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    kernel.before = fail
    with pytest.raises(EnclaveError) as caught:
        nsm.get_random()
    assert caught.value.code == code


def test_a_missing_device_names_its_requirements(tmp_path: Path) -> None:
    with pytest.raises(EnclaveError, match="only inside a Nitro enclave") as caught:
        Nsm(str(tmp_path / "nsm"))
    assert caught.value.code == "nsm.device"


def test_a_closed_nsm_sends_no_request(nsm: Nsm, kernel: Kernel) -> None:
    nsm.close()
    nsm.close()
    with pytest.raises(EnclaveError) as caught:
        nsm.get_random()
    assert caught.value.code == "nsm.closed"
    assert kernel.requests == []


def test_close_keeps_the_descriptor_for_an_open_request(nsm: Nsm, kernel: Kernel) -> None:
    # Otherwise the kernel could reuse the number for another file during the request.
    asked, closed = threading.Event(), threading.Event()
    descriptors: list[int] = []

    def wait(descriptor: int) -> None:
        asked.set()
        assert closed.wait(10)
        os.fstat(descriptor)
        descriptors.append(descriptor)

    kernel.before, kernel.answer = wait, cbor2.dumps(GOOD_ANSWERS["get_random"])
    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(nsm.get_random()))
    thread.start()
    assert asked.wait(10)
    nsm.close()
    closed.set()
    thread.join(10)
    assert results == [bytes(256)]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])
