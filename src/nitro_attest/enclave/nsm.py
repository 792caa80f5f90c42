"""The Nitro Security Module: the seven requests of ``/dev/nsm`` (rules N-1 to N-6).

A message is one CBOR item: the request's name alone, or a map from the name to its arguments. The
driver (Linux 6.8 and later) takes it by one ioctl and answers into a buffer of ours.
"""

from __future__ import annotations

import array
import errno
import fcntl
import io
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import cbor2

from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.limits import (
    MAX_MODULE_ID_BYTES,
    MAX_NSM_REQUEST_BYTES,
    MAX_PCRS,
    NSM_RESPONSE_BYTES,
    PCR_BYTES,
)

DEVICE: Final = "/dev/nsm"

_IOCTL: Final = 0xC0200A00  # _IOWR(0x0A, 0, struct nsm_raw), linux/nsm.h
_NSM_RAW: Final = struct.Struct("=QQQQ")  # request address and length, response address and length
_MAX_RANDOM_BYTES: Final = 256
_MAX_DEPTH: Final = 4  # a map in a map with an array in it, and one to spare

# The NSM's own error names (nsm-api, ErrorCode) and what each means to the caller.
_NSM_ERRORS: Final = {
    "InvalidArgument": ("nsm.invalid_argument", "an argument is not one that it accepts"),
    "InvalidIndex": ("nsm.invalid_index", "it has no PCR of this index"),
    "InvalidResponse": ("nsm.invalid_response", "it could not form an answer"),
    "ReadOnlyIndex": ("nsm.read_only_index", "the PCR is locked; 0 to 15 are so from the start"),
    "InvalidOperation": ("nsm.invalid_operation", "it does not know this request"),
    "BufferTooSmall": ("nsm.buffer_too_small", "its answer does not fit the buffer"),
    "InputTooLarge": ("nsm.input_too_large", "user_data, nonce, public_key or data is too long"),
    "InternalError": ("nsm.internal_error", "it failed inside"),
}


@dataclass(frozen=True)
class NsmDescription:
    """The answer to DescribeNSM.

    Attributes:
        version_major: Major version of the NSM.
        version_minor: Minor version.
        version_patch: Patch version.
        module_id: Name of the module; names the enclave instance, not its image.
        max_pcrs: Number of PCRs, 32 on AWS.
        locked_pcrs: Indices that can no longer be extended, ascending.
        digest: Hash of the PCRs, ``SHA384`` on AWS.
    """

    version_major: int
    version_minor: int
    version_patch: int
    module_id: str
    max_pcrs: int
    locked_pcrs: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class PcrDescription:
    """The answer to DescribePCR.

    Attributes:
        lock: True when the PCR can no longer be extended.
        data: Its value, 48 bytes.
    """

    lock: bool
    data: bytes


class Nsm:
    """An open Nitro Security Module.

    Safe to share between threads: the driver answers one request at a time. A request cannot be
    cancelled and the driver waits for up to 120 seconds (N-2), so a caller with a deadline asks
    from another thread.

    Args:
        path: The device.

    Raises:
        EnclaveError: ``nsm.device`` when it cannot be opened.
    """

    def __init__(self, path: str = DEVICE) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise EnclaveError(
                "nsm.device",
                f"{path} cannot be opened: {error.strerror}; it exists only inside a Nitro "
                "enclave, with Linux 6.8 or later or the module nsm.ko loaded",
            ) from None
        self._lock = threading.Lock()
        self._calls = 0
        self._closed = False

    def __enter__(self) -> Nsm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the device; a request of another thread ends first and is not waited for."""
        with self._lock:
            last = not self._closed and not self._calls
            self._closed = True
        if last:
            os.close(self._descriptor)

    def attest(
        self,
        *,
        nonce: bytes | None = None,
        user_data: bytes | None = None,
        public_key: bytes | None = None,
    ) -> bytes:
        """Returns a fresh attestation document, as the NSM signed it.

        The three fields share one request of 4096 bytes (N-6); the NSM has limits of its own
        below that and answers ``nsm.input_too_large``.

        Args:
            nonce: What a verifier sent to see that the document is fresh.
            user_data: What this enclave states about itself.
            public_key: The key that this enclave wants to be spoken to with.

        Raises:
            InputError: ``input.nsm``: a field is not bytes, or they do not fit.
            EnclaveError: ``nsm.*``.
        """
        fields = {"user_data": user_data, "nonce": nonce, "public_key": public_key}
        for name, value in fields.items():
            if value is not None:
                _require_bytes(name, value)
        document = self._ask("Attestation", fields, ("document",))["document"]
        return _checked_bytes(document, "document", 1, NSM_RESPONSE_BYTES)

    def describe_nsm(self) -> NsmDescription:
        """Returns version, name, PCR count and locked PCRs of the module.

        Raises:
            EnclaveError: ``nsm.*``.
        """
        keys = tuple(NsmDescription.__dataclass_fields__)
        answer = self._ask("DescribeNSM", None, keys)
        for name in ("version_major", "version_minor", "version_patch", "max_pcrs"):
            _check(answer[name], name, _is_u16(answer[name]))
        for name in ("module_id", "digest"):
            text = answer[name]
            _check(text, name, isinstance(text, str) and 0 < len(text) <= MAX_MODULE_ID_BYTES)
        locked = answer["locked_pcrs"]
        _check(locked, "locked_pcrs", isinstance(locked, list) and all(map(_is_u16, locked)))
        return NsmDescription(**{**answer, "locked_pcrs": tuple(sorted(set(locked)))})

    def describe_pcr(self, index: int) -> PcrDescription:
        """Returns the value of a PCR and whether it is locked.

        Args:
            index: 0 to 31.

        Raises:
            InputError: ``input.nsm``: no such index.
            EnclaveError: ``nsm.*``.
        """
        _require_number("index", index, 0, MAX_PCRS - 1)
        answer = self._ask("DescribePCR", {"index": index}, ("lock", "data"))
        _check(answer["lock"], "lock", isinstance(answer["lock"], bool))
        data = _checked_bytes(answer["data"], "data", PCR_BYTES, PCR_BYTES)
        return PcrDescription(answer["lock"], data)

    def extend_pcr(self, index: int, data: bytes) -> bytes:
        """Replaces a PCR by SHA-384 of its value followed by ``data``; returns the new value.

        Args:
            index: 0 to 31; the NSM refuses locked ones.
            data: What is measured.

        Raises:
            InputError: ``input.nsm``: no such index, or ``data`` is not bytes or does not fit.
            EnclaveError: ``nsm.*``.
        """
        _require_number("index", index, 0, MAX_PCRS - 1)
        _require_bytes("data", data)
        value = self._ask("ExtendPCR", {"index": index, "data": data}, ("data",))["data"]
        return _checked_bytes(value, "data", PCR_BYTES, PCR_BYTES)

    def lock_pcr(self, index: int) -> None:
        """Locks one PCR until the enclave ends.

        Args:
            index: 0 to 31.

        Raises:
            InputError: ``input.nsm``: no such index.
            EnclaveError: ``nsm.*``.
        """
        _require_number("index", index, 0, MAX_PCRS - 1)
        self._ask("LockPCR", {"index": index}, ())

    def lock_pcrs(self, count: int) -> None:
        """Locks the first ``count`` PCRs, 0 to ``count - 1``, until the enclave ends.

        Args:
            count: 1 to 32; the request's field ``range`` (N-4).

        Raises:
            InputError: ``input.nsm``: not such a number.
            EnclaveError: ``nsm.*``.
        """
        _require_number("count", count, 1, MAX_PCRS)
        self._ask("LockPCRs", {"range": count}, ())

    def get_random(self) -> bytes:
        """Returns 1 to 256 random bytes, as many as the NSM gives at once (256 on AWS).

        Raises:
            EnclaveError: ``nsm.*``.
        """
        random = self._ask("GetRandom", None, ("random",))["random"]
        return _checked_bytes(random, "random", 1, _MAX_RANDOM_BYTES)

    def _ask(
        self, name: str, arguments: Mapping[str, Any] | None, keys: tuple[str, ...]
    ) -> dict[str, Any]:
        request = cbor2.dumps(name if arguments is None else {name: arguments})
        if len(request) > MAX_NSM_REQUEST_BYTES:
            raise InputError(
                "input.nsm",
                f"the {name} request has {len(request)} bytes; the device takes at most "
                f"{MAX_NSM_REQUEST_BYTES}: shorten user_data, nonce, public_key or data",
            )
        return _answer(self._exchange(request), name, keys)

    def _exchange(self, request: bytes) -> bytes:
        question = array.array("B", request)
        # N-1: a shorter buffer would be filled and the rest dropped without an error.
        answer = array.array("B", bytes(NSM_RESPONSE_BYTES))
        message = bytearray(_NSM_RAW.pack(*question.buffer_info(), *answer.buffer_info()))
        with self._in_call() as descriptor:
            try:
                fcntl.ioctl(descriptor, _IOCTL, message)
            except OSError as error:
                raise _driver_error(error) from None
        length = _NSM_RAW.unpack(message)[3]
        if not 0 < length <= NSM_RESPONSE_BYTES:
            raise EnclaveError(
                "nsm.response",
                f"the driver reports an answer of {length} bytes; expected 1 to "
                f"{NSM_RESPONSE_BYTES}",
            )
        return answer[:length].tobytes()

    @contextmanager
    def _in_call(self) -> Iterator[int]:
        # The number of a closed descriptor may name another file: the last call out closes.
        with self._lock:
            if self._closed:
                raise EnclaveError("nsm.closed", "this Nsm has been closed; open another")
            self._calls += 1
        try:
            yield self._descriptor
        finally:
            with self._lock:
                self._calls -= 1
                last = self._closed and not self._calls
            if last:
                os.close(self._descriptor)


def _driver_error(error: OSError) -> EnclaveError:
    if error.errno == errno.ETIMEDOUT:
        return EnclaveError(
            "nsm.timeout", "the NSM did not answer within the driver's 120 seconds (N-2)"
        )
    return EnclaveError(
        "nsm.device",
        f"the driver refused the request: {error.strerror}; is this device the NSM?",
    )


def _answer(raw: bytes, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """Decodes the answer to request ``name``; returns its fields, which are exactly ``keys``."""
    item = _decode(raw)
    if isinstance(item, dict) and len(item) == 1:
        ((variant, fields),) = item.items()
        if variant == "Error" and isinstance(fields, str):
            raise _nsm_error(name, fields)
        if variant == name and keys and isinstance(fields, dict) and fields.keys() == set(keys):
            return fields
    elif item == name and not keys:
        return {}
    wanted = f"a map with {', '.join(keys)}" if keys else "the name alone"
    raise EnclaveError("nsm.response", f"the NSM's answer to {name} is not {wanted}")


def _decode(raw: bytes) -> Any:
    stream = io.BytesIO(raw)
    try:
        item = cbor2.CBORDecoder(stream, max_depth=_MAX_DEPTH, allow_duplicate_keys=False).decode()
    except cbor2.CBORDecodeError as error:
        raise EnclaveError(
            "nsm.response", f"the NSM's answer is not CBOR: {error}", stream.tell()
        ) from None
    if stream.tell() != len(raw):
        raise EnclaveError(
            "nsm.response",
            f"{len(raw) - stream.tell()} bytes follow the NSM's answer",
            stream.tell(),
        )
    return item


def _nsm_error(request: str, name: str) -> EnclaveError:
    if name in _NSM_ERRORS:
        code, sentence = _NSM_ERRORS[name]
        return EnclaveError(code, f"the NSM refused {request} with {name}: {sentence}")
    return EnclaveError(
        "nsm.response", f"the NSM refused {request} with an error it has no name for: {name[:64]!r}"
    )


def _check(value: object, name: str, good: bool) -> None:
    if not good:
        # The type alone: text of any size may stand in the value.
        raise EnclaveError(
            "nsm.response",
            f"{name} in the NSM's answer has a type or size that it cannot have: "
            f"{type(value).__name__}",
        )


def _checked_bytes(value: object, name: str, low: int, high: int) -> bytes:
    if isinstance(value, bytes) and low <= len(value) <= high:
        return value
    found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
    raise EnclaveError(
        "nsm.response",
        f"{name} in the NSM's answer is {found}; expected "
        + (f"{low} bytes" if low == high else f"{low} to {high} bytes"),
    )


def _is_u16(value: object) -> bool:
    return type(value) is int and 0 <= value <= 0xFFFF


def _require_bytes(name: str, value: object) -> None:
    if not isinstance(value, bytes):
        raise InputError("input.nsm", f"{name} is {type(value).__name__}; expected bytes")


def _require_number(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InputError("input.nsm", f"{name} is {value!r}; expected {low} to {high}")
