"""A virtio device outside of QEMU: the back end of the vhost-user protocol, one split virtqueue.

Numbers and layouts: QEMU's docs/interop/vhost-user.rst and the virtio 1.2 specification, 2.7.
"""

from __future__ import annotations

import array
import mmap
import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

GET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 1, 5, 8, 9, 10
GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = 11, 12, 13
GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 17, 18

VERSION_1, PROTOCOL_FEATURES = 1 << 32, 1 << 30
REPLY_ACK = 1 << 3
CONSTANTS = {
    GET_FEATURES: VERSION_1 | PROTOCOL_FEATURES,
    GET_PROTOCOL_FEATURES: REPLY_ACK,
    GET_QUEUE_NUM: 1,
}
FLAG_REPLY, FLAG_NEED_REPLY, FLAG_VERSION = 1 << 2, 1 << 3, 1
DESCRIPTOR_NEXT, DESCRIPTOR_WRITE = 1, 2


@dataclass
class Region:
    """A region of the guest's memory: its guest and front-end addresses, and its mapping here."""

    guest: int
    size: int
    user: int
    memory: mmap.mmap
    offset: int


class NsmTransport:
    """Serves one front end. The NSM's driver queues a request and its response buffer as two
    chains; both are returned before one interrupt.
    """

    def __init__(self, connection: socket.socket, answer: Callable[[bytes], bytes]) -> None:
        self.connection = connection
        self.answer = answer
        self.regions: list[Region] = []
        self.size = self.next = 0
        self.rings = (0, 0, 0)
        self.kick: int | None = None
        self.call: int | None = None
        self.enabled = False
        self.request: tuple[int, bytes] | None = None

    def run(self) -> None:
        """Serves until the front end disconnects."""
        while True:
            watched = [self.connection] if self.kick is None else [self.connection, self.kick]
            ready = select.select(watched, [], [])[0]
            if self.kick in ready:
                os.read(self.kick, 8)
                self._process()
            if self.connection in ready and not self._message():
                return

    def _message(self) -> bool:
        head, ancillary, _, _ = self.connection.recvmsg(12, socket.CMSG_SPACE(8 * 4))
        if len(head) < 12:
            return False
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data)
        request, flags, size = struct.unpack("=III", head)
        body = self.connection.recv(size, socket.MSG_WAITALL) if size else b""
        reply = self._handle(request, body, list(descriptors))
        if reply is None and flags & FLAG_NEED_REPLY:
            reply = struct.pack("=Q", 0)
        if reply is not None:
            answer = struct.pack("=III", request, FLAG_VERSION | FLAG_REPLY, len(reply))
            self.connection.sendall(answer + reply)
        return True

    def _handle(self, request: int, body: bytes, descriptors: list[int]) -> bytes | None:
        if request in CONSTANTS:
            return struct.pack("=Q", CONSTANTS[request])
        if request == GET_VRING_BASE:
            self.kick = None
            return struct.pack("=II", 0, self.next)
        if request == SET_MEM_TABLE:
            self._map(body, descriptors)
        elif request == SET_VRING_NUM:
            self.size = struct.unpack("=II", body)[1]
        elif request == SET_VRING_BASE:
            self.next = struct.unpack("=II", body)[1]
        elif request == SET_VRING_ADDR:
            self.rings = struct.unpack("=IIQQQQ", body)[2:5]
        elif request == SET_VRING_KICK:
            self.kick = descriptors[0] if descriptors else None
        elif request == SET_VRING_CALL:
            self.call = descriptors[0] if descriptors else None
        elif request == SET_VRING_ENABLE:
            self.enabled = bool(struct.unpack("=II", body)[1])
            self._process()  # kicks may have come before
        return None

    def _map(self, body: bytes, descriptors: list[int]) -> None:
        self.regions.clear()
        for number, descriptor in enumerate(descriptors):
            guest, size, user, offset = struct.unpack_from("=QQQQ", body, 8 + 32 * number)
            memory = mmap.mmap(descriptor, size + offset)
            self.regions.append(Region(guest, size, user, memory, offset))
            os.close(descriptor)

    def _guest(self, address: int, length: int) -> tuple[mmap.mmap, int]:
        for region in self.regions:
            if region.guest <= address and address + length <= region.guest + region.size:
                return region.memory, region.offset + address - region.guest
        raise ValueError(f"the guest address {address:#x} is outside of its memory")

    def _user(self, address: int) -> tuple[mmap.mmap, int]:
        for region in self.regions:
            if region.user <= address < region.user + region.size:
                return region.memory, region.offset + address - region.user
        raise ValueError(f"the front-end address {address:#x} is outside of the guest's memory")

    def _process(self) -> None:
        if not self.enabled or not all(self.rings):
            return
        memory, available = self._user(self.rings[2])
        while self.next != struct.unpack_from("=H", memory, available + 2)[0]:
            slot = available + 4 + 2 * (self.next % self.size)
            head = struct.unpack_from("=H", memory, slot)[0]
            self.next = (self.next + 1) & 0xFFFF
            request, buffers = self._chain(head)
            if not buffers:
                self.request = head, request
                continue
            if self.request is None:
                raise ValueError("a response buffer came before any request")
            answer = self.answer(self.request[1])
            position = 0
            for target, offset, length in buffers:
                part = answer[position : position + length]
                target[offset : offset + len(part)] = part
                position += len(part)
            self._give_back(self.request[0], 0)
            self._give_back(head, position)
            if self.call is not None:
                os.write(self.call, struct.pack("=Q", 1))

    def _chain(self, head: int) -> tuple[bytes, list[tuple[mmap.mmap, int, int]]]:
        table, start = self._user(self.rings[0])
        request, buffers, index = b"", [], head
        while True:
            address, length, flags, following = struct.unpack_from(
                "=QIHH", table, start + 16 * index
            )
            memory, offset = self._guest(address, length)
            if flags & DESCRIPTOR_WRITE:
                buffers.append((memory, offset, length))
            else:
                request += memory[offset : offset + length]
            if not flags & DESCRIPTOR_NEXT:
                return request, buffers
            index = following

    def _give_back(self, head: int, length: int) -> None:
        memory, used = self._user(self.rings[1])
        index = struct.unpack_from("=H", memory, used + 2)[0]
        struct.pack_into("=II", memory, used + 4 + 8 * (index % self.size), head, length)
        struct.pack_into("=H", memory, used + 2, (index + 1) & 0xFFFF)
