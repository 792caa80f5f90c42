"""Eight signatures at once with Intel's multi-buffer library, where the CPU has AVX-512 IFMA.

Debian and Ubuntu call the package ``libcrypto-mb11`` or ``libcrypto-mb12``, Fedora and EPEL
``intel-ipp-crypto-mb``. Its functions take eight pointers for each argument and return four bits of
status for each lane (its header ``ec_nistp384.h``, ``status.h``).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable, Set
from itertools import islice
from typing import Final, NamedTuple

from nitro_attest.errors import InputError
from nitro_attest.limits import SIGNATURE_BYTES
from nitro_attest.verification.accelerators.base import Accelerator
from nitro_attest.verification.signature import SignatureClaim

_LANES: Final = 8
_FEWEST: Final = 3
"""Eight lanes take as long as two signatures by ``cryptography``, however many are in use."""

_LIBRARIES: Final = ("libcrypto_mb.so.12", "libcrypto_mb.so.11")
_OK: Final = 0
_HALF: Final = SIGNATURE_BYTES // 2

_Pointers = ctypes.c_char_p * _LANES


class MultiBuffer(Accelerator):
    """Confirms eight signatures at a time, without holding the interpreter's lock."""

    lanes = _LANES

    def __init__(self) -> None:
        self._verify = _load()
        self._thread = _Confirmed()

    def prepare(self, claims: Iterable[SignatureClaim]) -> None:
        """Checks claims eight at a time; replaces what this thread has confirmed before."""
        self._thread.lanes = confirmed = set[_Lane]()
        remaining = iter(dict.fromkeys(map(_lane, claims)))  # paths often share a link
        while lanes := list(islice(remaining, _LANES)):
            if len(lanes) >= _FEWEST:
                confirmed |= self._confirmed(lanes)

    def confirm(self, claim: SignatureClaim) -> bool:
        """Returns True if this thread's last call of ``prepare`` confirmed exactly this claim."""
        return _lane(claim) in self._thread.lanes

    def _confirmed(self, lanes: list[_Lane]) -> set[_Lane]:
        filled = lanes + [lanes[0]] * (_LANES - len(lanes))
        arguments = [_Pointers(*values) for values in zip(*filled, strict=True)]
        status = self._verify(*arguments, None, None)
        return {lane for place, lane in enumerate(filled) if status >> 4 * place & 0xF == _OK}


class _Lane(NamedTuple):
    """One claim in the order and encodings of the library's arguments."""

    r: bytes  # big-endian, as in the document
    s: bytes
    digest: bytes
    x: bytes  # 64-bit words, least significant first: little-endian on its only CPUs
    y: bytes


class _Confirmed(threading.local):
    """The lanes that a thread's last call of ``prepare`` confirmed."""

    lanes: Set[_Lane] = frozenset()


def _lane(claim: SignatureClaim) -> _Lane:
    x, y = claim.key.info[-SIGNATURE_BYTES:-_HALF], claim.key.info[-_HALF:]
    return _Lane(
        claim.signature[:_HALF],
        claim.signature[_HALF:],
        claim.digest,
        x[::-1],
        y[::-1],
    )


def _load() -> ctypes._NamedFuncPointer:
    library = _open()
    try:
        applicable = library.mbx_is_crypto_mb_applicable
        verify = library.mbx_nistp384_ecdsa_verify_mb8
    except AttributeError as error:  # dlsym's message names the file and the symbol
        raise InputError(
            "input.accelerator",
            f"the library found as libcrypto_mb lacks a function ({error}); install Intel's "
            "multi-buffer library, or check the library path",
        ) from error
    applicable.argtypes = [ctypes.c_uint64]
    if applicable(0) != 1:
        raise InputError(
            "input.accelerator", "libcrypto_mb needs a CPU with AVX-512 IFMA, which this one lacks"
        )
    verify.argtypes = [_Pointers] * 5 + [ctypes.c_void_p] * 2
    verify.restype = ctypes.c_uint32
    return verify


def _open() -> ctypes.CDLL:
    """Loads a version whose interface this module knows, from the system's library path."""
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise InputError(
        "input.accelerator",
        f"libcrypto_mb is not installed: none of {', '.join(_LIBRARIES)} could be loaded",
    )
