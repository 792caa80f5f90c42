"""The Nitro Security Module (NSM): the seven requests of ``/dev/nsm`` (N-1 to N-6).

A message is one CBOR item: the request's name, or a map from the name to its arguments. One ioctl
of the driver (Linux 6.8 and later) passes the request and fills a buffer with the answer.
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

from nitro_attest._internal.cbor import has_tag_or_indefinite
from nitro_attest._internal.wording import plural, size_or_type
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.limits import (
    MAX_MODULE_ID_BYTES,
    MAX_NSM_REQUEST_BYTES,
    MAX_PCRS,
    NSM_RESPONSE_BYTES,
    PCR_BYTES,
)

__all__ = ["DEVICE", "Nsm", "NsmDescription", "PcrDescription"]

DEVICE: Final = "/dev/nsm"
"""Path of the NSM's device inside an enclave."""

_IOCTL: Final = 0xC0200A00  # _IOWR(0x0A, 0, struct nsm_raw), linux/nsm.h
_NSM_RAW: Final = struct.Struct("=QQQQ")  # request address and length, response address and length
_MAX_RANDOM_BYTES: Final = 256
_MAX_DEPTH: Final = 4  # a map in a map with an array in it, and one level to spare
_CAN_REJECT_DUPLICATES: Final = hasattr(cbor2.CBORDecoder, "allow_duplicate_keys")  # from 6.1

# The NSM's error names (ErrorCode of aws-nitro-enclaves-nsm-api), each with a code and its meaning.
_NSM_ERRORS: Final = {
    "InvalidArgument": ("nsm.invalid_argument", "it does not accept an argument"),
    "InvalidIndex": ("nsm.invalid_index", "it has no PCR with this index"),
    "InvalidResponse": ("nsm.invalid_response", "it could not form an answer"),
    "ReadOnlyIndex": ("nsm.read_only_index", "the PCR is locked, as PCR0 to PCR15 always are"),
    "InvalidOperation": ("nsm.invalid_operation", "it does not know this request"),
    "BufferTooSmall": ("nsm.buffer_too_small", "its answer does not fit into the buffer"),
    "InputTooLarge": ("nsm.input_too_large", "user_data, nonce, public_key or data is too long"),
    "InternalError": ("nsm.internal_error", "it failed internally"),
}


@dataclass(frozen=True, slots=True)
class NsmDescription:
    """The answer to DescribeNSM.

    Attributes:
        version_major: Major version of the NSM.
        version_minor: Minor version of the NSM.
        version_patch: Patch version of the NSM.
        module_id: ID of the module, at most 256 characters; it identifies the running enclave,
            not its image.
        max_pcrs: Number of PCRs, 32 on AWS.
        locked_pcrs: Indices of the PCRs that can no longer be extended, ascending.
        digest: Hash algorithm of the PCRs, ``SHA384`` on AWS.
    """

    version_major: int
    version_minor: int
    version_patch: int
    module_id: str
    max_pcrs: int
    locked_pcrs: tuple[int, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class PcrDescription:
    """The answer to DescribePCR.

    Attributes:
        lock: True if the PCR can no longer be extended.
        data: The PCR's value, 48 bytes.
    """

    lock: bool
    data: bytes


class Nsm:
    """An open Nitro Security Module, for use inside an enclave.

    Thread-safe; the driver processes one request at a time. A request cannot be cancelled, and the
    driver waits for up to 120 seconds (N-2), so a caller with a deadline needs a separate thread.

    Every request raises EnclaveError: ``nsm.closed`` after ``close``; ``nsm.device`` if the driver
    rejects the request; ``nsm.timeout`` if the NSM does not answer (N-2); ``nsm.response`` if its
    answer is malformed (N-1, N-3); and one code for each error name of the NSM, such as
    ``nsm.read_only_index``.

    Args:
        path: Path of the device.

    Raises:
        EnclaveError: ``nsm.device``: the device cannot be opened.

    Example:
        >>> from nitro_attest.enclave.nsm import Nsm
        >>> with Nsm() as nsm:  # doctest: +SKIP
        ...     document = nsm.attest(nonce=nonce, public_key=public_key_der)
        ...     image = nsm.describe_pcr(0).data
    """

    def __init__(self, path: str = DEVICE) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise EnclaveError(
                "nsm.device",
                f"cannot open {path}: {error.strerror}; it exists only inside a Nitro enclave with "
                "Linux 6.8 or later, or with the module nsm.ko loaded",
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
        """Closes the device, without waiting; a request of another thread still completes."""
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
        """Requests a fresh attestation document (Attestation).

        The three fields share one request of at most 4096 bytes (N-6). The NSM has its own, lower
        limits, for which it answers ``nsm.input_too_large``.

        Args:
            nonce: The nonce of a verifier, which shows that the document is fresh.
            user_data: A statement of this enclave, in any form.
            public_key: A public key for messages to this enclave, in any form.

        Returns:
            The document, 1 to 12288 bytes.

        Raises:
            InputError: ``input.nsm``: a field is not bytes, or the request is too long.
            EnclaveError: ``nsm.*``, as described for the class.

        Example:
            >>> with Nsm() as nsm:  # doctest: +SKIP
            ...     document = nsm.attest(nonce=nonce)
        """
        fields = {"user_data": user_data, "nonce": nonce, "public_key": public_key}
        for name, value in fields.items():
            if value is not None:
                _require_bytes(name, value)
        document = self._request("Attestation", fields, ("document",))["document"]
        return _checked_bytes(document, "document", 1, NSM_RESPONSE_BYTES)

    def describe_nsm(self) -> NsmDescription:
        """Requests version, ID, PCR count and locked PCRs of the module (DescribeNSM).

        Returns:
            The description.

        Raises:
            EnclaveError: ``nsm.*``, as described for the class.

        Example:
            >>> with Nsm() as nsm:  # doctest: +SKIP
            ...     print(nsm.describe_nsm().module_id)
        """
        keys = tuple(NsmDescription.__dataclass_fields__)
        answer = self._request("DescribeNSM", None, keys)
        for name in ("version_major", "version_minor", "version_patch", "max_pcrs"):
            _check(answer[name], name, _is_u16(answer[name]))
        for name in ("module_id", "digest"):
            text = answer[name]
            _check(text, name, isinstance(text, str) and 0 < len(text) <= MAX_MODULE_ID_BYTES)
        locked = answer["locked_pcrs"]
        _check(locked, "locked_pcrs", isinstance(locked, list) and all(map(_is_u16, locked)))
        return NsmDescription(**{**answer, "locked_pcrs": tuple(sorted(set(locked)))})

    def describe_pcr(self, index: int) -> PcrDescription:
        """Requests the value and the lock of a PCR (DescribePCR).

        Args:
            index: Index of the PCR, 0 to 31.

        Returns:
            The description.

        Raises:
            InputError: ``input.nsm``: the index is not 0 to 31.
            EnclaveError: ``nsm.*``, as described for the class.

        Example:
            >>> with Nsm() as nsm:  # doctest: +SKIP
            ...     print(nsm.describe_pcr(0).data.hex())
        """
        _require_number("index", index, 0, MAX_PCRS - 1)
        answer = self._request("DescribePCR", {"index": index}, ("lock", "data"))
        _check(answer["lock"], "lock", isinstance(answer["lock"], bool))
        data = _checked_bytes(answer["data"], "data", PCR_BYTES, PCR_BYTES)
        return PcrDescription(answer["lock"], data)

    def extend_pcr(self, index: int, data: bytes) -> bytes:
        """Replaces a PCR with the SHA-384 of its value followed by ``data`` (ExtendPCR, N-5).

        Args:
            index: Index of the PCR, 0 to 31; the NSM rejects locked PCRs, such as 0 to 15.
            data: The data to measure.

        Returns:
            The new value, 48 bytes.

        Raises:
            InputError: ``input.nsm``: the index is not 0 to 31, ``data`` is not bytes, or the
                request is longer than 4096 bytes.
            EnclaveError: ``nsm.read_only_index``: the PCR is locked. ``nsm.*``, as described for
                the class.

        Example:
            >>> with Nsm() as nsm:  # doctest: +SKIP
            ...     value = nsm.extend_pcr(16, configuration)
            ...     nsm.lock_pcr(16)
        """
        _require_number("index", index, 0, MAX_PCRS - 1)
        _require_bytes("data", data)
        value = self._request("ExtendPCR", {"index": index, "data": data}, ("data",))["data"]
        return _checked_bytes(value, "data", PCR_BYTES, PCR_BYTES)

    def lock_pcr(self, index: int) -> None:
        """Locks one PCR until the enclave ends (LockPCR).

        Args:
            index: Index of the PCR, 0 to 31.

        Raises:
            InputError: ``input.nsm``: the index is not 0 to 31.
            EnclaveError: ``nsm.*``, as described for the class.
        """
        _require_number("index", index, 0, MAX_PCRS - 1)
        self._request("LockPCR", {"index": index}, ())

    def lock_pcrs(self, count: int) -> None:
        """Locks the PCRs 0 to ``count - 1`` until the enclave ends (LockPCRs).

        Args:
            count: Number of PCRs, 1 to 32; the request's field ``range`` (N-4).

        Raises:
            InputError: ``input.nsm``: the count is not 1 to 32.
            EnclaveError: ``nsm.*``, as described for the class.

        Example:
            >>> with Nsm() as nsm:  # doctest: +SKIP
            ...     nsm.lock_pcrs(32)  # all of them
        """
        _require_number("count", count, 1, MAX_PCRS)
        self._request("LockPCRs", {"range": count}, ())

    def get_random(self) -> bytes:
        """Requests random bytes (GetRandom).

        Returns:
            1 to 256 bytes, as many as the NSM returns at once (256 on AWS).

        Raises:
            EnclaveError: ``nsm.*``, as described for the class.

        Example:
            >>> with Nsm() as nsm:  # doctest: +SKIP
            ...     seed = nsm.get_random()
        """
        random = self._request("GetRandom", None, ("random",))["random"]
        return _checked_bytes(random, "random", 1, _MAX_RANDOM_BYTES)

    def _request(
        self, name: str, arguments: Mapping[str, Any] | None, keys: tuple[str, ...]
    ) -> dict[str, Any]:
        request = cbor2.dumps(name if arguments is None else {name: arguments})
        if len(request) > MAX_NSM_REQUEST_BYTES:
            raise InputError(
                "input.nsm",
                f"{name} request too long: expected at most {MAX_NSM_REQUEST_BYTES} bytes, found "
                f"{plural(len(request), 'byte')}; shorten user_data, nonce, public_key or data",
            )
        return _answer(self._exchange(request), name, keys)

    def _exchange(self, request: bytes) -> bytes:
        question = array.array("B", request)
        # N-1: the driver truncates an answer into a shorter buffer without an error.
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
                f"answer size out of range: expected 1 to {NSM_RESPONSE_BYTES} bytes, found "
                f"{length}",
            )
        return answer[:length].tobytes()

    @contextmanager
    def _in_call(self) -> Iterator[int]:
        # The number of a closed descriptor may be reused for another file, so the device is closed
        # only after the last request.
        with self._lock:
            if self._closed:
                raise EnclaveError("nsm.closed", "this Nsm is closed; open a new one")
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
        return EnclaveError("nsm.timeout", "no answer of the NSM within the driver's 120 s (N-2)")
    return EnclaveError(
        "nsm.device",
        f"the driver rejected the request: {error.strerror}; check that the device is the NSM",
    )


def _answer(raw: bytes, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """Decodes the answer to the request ``name`` and returns its fields, exactly ``keys``."""
    item = _decode(raw)
    if isinstance(item, dict) and len(item) == 1:
        ((variant, fields),) = item.items()
        if variant == "Error" and isinstance(fields, str):
            raise _nsm_error(name, fields)
        if variant == name and keys and isinstance(fields, dict) and fields.keys() == set(keys):
            return fields
    elif item == name and not keys:
        return {}
    expected = f"a map with {', '.join(keys)}" if keys else "only the name"
    raise EnclaveError("nsm.response", f"malformed answer to {name}: expected {expected}")


def _decode(raw: bytes) -> Any:
    if not _CAN_REJECT_DUPLICATES:
        return _decode_canonical(raw)
    stream = io.BytesIO(raw)
    try:
        item = cbor2.CBORDecoder(stream, max_depth=_MAX_DEPTH, allow_duplicate_keys=False).decode()
    except cbor2.CBORDecodeError as error:
        raise EnclaveError(
            "nsm.response", f"malformed answer: not CBOR: {error}", stream.tell()
        ) from None
    if stream.tell() != len(raw):
        raise EnclaveError(
            "nsm.response",
            f"malformed answer: {plural(len(raw) - stream.tell(), 'byte')} after its end",
            stream.tell(),
        )
    return item


def _decode_canonical(raw: bytes) -> Any:
    """Decodes with cbor2 5.9, which keeps the last of duplicate keys: encoding shows the others."""
    try:
        if not has_tag_or_indefinite(raw):
            item = cbor2.loads(raw, max_depth=_MAX_DEPTH)
            if cbor2.dumps(item) == raw:
                return item
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise EnclaveError("nsm.response", f"malformed answer: not CBOR: {error}") from None
    raise EnclaveError(
        "nsm.response",
        "malformed answer: a tag, an indefinite length, duplicate keys, a long form, or bytes "
        "after its end",
    )


def _nsm_error(request: str, name: str) -> EnclaveError:
    if name in _NSM_ERRORS:
        code, meaning = _NSM_ERRORS[name]
        return EnclaveError(code, f"the NSM rejected {request} with {name}: {meaning}")
    return EnclaveError(
        "nsm.response", f"the NSM rejected {request} with an unknown error: {name[:64]!r}"
    )


def _check(value: object, name: str, good: bool) -> None:
    if not good:
        # Names only the type, because the value may be of any size.
        raise EnclaveError(
            "nsm.response",
            f"malformed answer: {name} has an invalid type or size (found {type(value).__name__})",
        )


def _checked_bytes(value: object, name: str, low: int, high: int) -> bytes:
    if isinstance(value, bytes) and low <= len(value) <= high:
        return value
    expected = plural(low, "byte") if low == high else f"{low} to {high} bytes"
    raise EnclaveError(
        "nsm.response",
        f"malformed answer: {name}: expected {expected}, found {size_or_type(value)}",
    )


def _is_u16(value: object) -> bool:
    return type(value) is int and 0 <= value <= 0xFFFF


def _require_bytes(name: str, value: object) -> None:
    if not isinstance(value, bytes):
        raise InputError(
            "input.nsm", f"invalid {name}: expected bytes, found {type(value).__name__}"
        )


def _require_number(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InputError(
            "input.nsm", f"invalid {name}: expected {low} to {high}, found {value!r:.80}"
        )
