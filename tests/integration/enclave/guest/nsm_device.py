"""A Nitro Security Module for a guest: ``python -m guest.nsm_device SOCKET ROOT_PEM``.

Answers the seven requests of N-3 as a vhost-user virtio device, with documents of a
fake hypervisor whose root certificate it writes to ROOT_PEM. From SIGUSR1 on, its documents are
those of an enclave in debug mode.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import cbor2
from guest.vhost_user import NsmTransport

from nitro_attest.testing import FakeNitro

FIELD_LIMITS = {"user_data": 512, "nonce": 512, "public_key": 1024}


class FakeNsm:
    """The state of one enclave's NSM: 32 PCRs, of which the first 16 are locked (N-5)."""

    def __init__(self) -> None:
        self.nitro = FakeNitro()
        genuine = cbor2.loads(cbor2.loads(self.nitro.document())[2])["pcrs"]
        self.pcrs = {index: genuine.get(index, bytes(48)) for index in range(32)}
        self.locked = set(range(16))

    def enter_debug_mode(self) -> None:
        """Sets PCR0 to PCR2 to zeros (M-2)."""
        self.pcrs |= dict.fromkeys(range(3), bytes(48))

    def answer(self, request: bytes) -> bytes:
        """The answer to one request, as CBOR."""
        try:
            item = cbor2.loads(request)
        except cbor2.CBORDecodeError:
            return cbor2.dumps({"Error": "InvalidOperation"})
        name, fields = (item, {}) if isinstance(item, str) else next(iter(item.items()))
        return cbor2.dumps(self._answer(name, fields))

    def _answer(self, name: str, fields: dict[str, Any]) -> Any:
        match name:
            case "Attestation":
                return self._attest(fields)
            case "DescribeNSM":
                return {name: self._description()}
            case "GetRandom":
                return {name: {"random": os.urandom(256)}}
            case "LockPCRs":
                self.locked |= set(range(fields["range"]))
                return name
            case "DescribePCR" | "ExtendPCR" | "LockPCR":
                return self._pcr(name, fields)
        return {"Error": "InvalidOperation"}

    def _pcr(self, name: str, fields: dict[str, Any]) -> Any:
        index = fields["index"]
        if index not in self.pcrs:
            return {"Error": "InvalidIndex"}
        if name == "DescribePCR":
            return {name: {"lock": index in self.locked, "data": self.pcrs[index]}}
        if index in self.locked:
            return {"Error": "ReadOnlyIndex"}
        if name == "LockPCR":
            self.locked.add(index)
            return name
        self.pcrs[index] = hashlib.sha384(self.pcrs[index] + fields["data"]).digest()
        return {name: {"data": self.pcrs[index]}}

    def _attest(self, fields: dict[str, bytes | None]) -> Any:
        for name, limit in FIELD_LIMITS.items():
            if len(fields.get(name) or b"") > limit:
                return {"Error": "InputTooLarge"}
        pcrs = {index: self.pcrs[index] for index in sorted(self.locked)}
        return {"Attestation": {"document": self.nitro.document(pcrs=pcrs, **fields)}}

    def _description(self) -> dict[str, Any]:
        return {
            "version_major": 1,
            "version_minor": 0,
            "version_patch": 0,
            "module_id": self.nitro.module_id,
            "max_pcrs": len(self.pcrs),
            "locked_pcrs": sorted(self.locked),
            "digest": "SHA384",
        }


def main(path: str, root: str) -> None:
    """Serves one guest after another."""
    nsm = FakeNsm()
    Path(root).write_bytes(nsm.nitro.root_pem)
    signal.signal(signal.SIGUSR1, lambda *_: nsm.enter_debug_mode())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        while True:
            connection, _ = listener.accept()
            with connection:
                NsmTransport(connection, nsm.answer).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
