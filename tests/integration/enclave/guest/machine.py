"""Guests under QEMU, each with an emulated NSM and vsock."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from guest import initramfs
from guest.packages import Parts

HERE = Path(__file__).parent
MARK = b"@@"
BOOT_SECONDS = 600.0  # 5 to 12 suffice while the machine is otherwise idle
ENCLAVE_CID, PARENT_CID = 16, 3


class Guest:
    """A running guest: reads marked lines from its console, and writes lines to it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._console = b""

    def expect(self, event: str, seconds: float = BOOT_SECONDS) -> dict[str, Any]:
        """Returns the next line of this event; fails with the whole console if none comes."""
        end = time.monotonic() + seconds
        while True:
            line = self._line(end - time.monotonic())
            if MARK not in line:
                continue
            found: dict[str, Any] = json.loads(line.partition(MARK)[2])
            if found["event"] == "failed":
                raise AssertionError(f"in the guest: {found['error']}")
            if found["event"] == event:
                return found

    def send(self, line: str) -> None:
        """Writes a line to the program in the guest."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _line(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._console:
            ready = select.select([self._process.stdout], [], [], max(0.0, seconds))[0]
            piece = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                raise AssertionError(
                    f"the guest stopped or did not answer:\n{self._log.read_text('latin-1')}"
                )
            with self._log.open("ab") as log:
                log.write(piece)
            self._console += piece
        line, _, self._console = self._console.partition(b"\n")
        return line


class Host:
    """The host of the guests: sockets, devices and the initramfs.

    Args:
        parts: The packages of the guests.
        site: An archive of ``/app``, where the package is installed.
        folder: For sockets and logs; its path is short, as a Unix socket's has at most 107 bytes.
    """

    def __init__(self, parts: Parts, site: Path, folder: Path) -> None:
        self.parts, self.site, self.folder = parts, site, folder
        self.root_pem = folder / "root.pem"
        self.nsm: subprocess.Popen[bytes] | None = None

    @contextmanager
    def device(self, socket: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """Starts a device process, and waits for its socket."""
        with (self.folder / f"{socket.name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=HERE.parent)
        try:
            while not socket.exists():
                if process.poll() is not None:
                    raise AssertionError(Path(log.name).read_text("utf-8", "replace"))
                time.sleep(0.02)
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    @contextmanager
    def devices(self) -> Iterator[None]:
        """Starts the NSM and the vsock of both guests."""
        nsm, vsock = self.folder / "nsm", self.folder / "vsock16"
        machines = [
            f"--vm=guest-cid={cid},socket={self.folder}/vsock{cid},uds-path={self.folder}/vm{cid}"
            for cid in (PARENT_CID, ENCLAVE_CID)
        ]
        with ExitStack() as stack:
            command = [sys.executable, "-m", "guest.nsm_device", str(nsm), str(self.root_pem)]
            self.nsm = stack.enter_context(self.device(nsm, *command))
            stack.enter_context(self.device(vsock, str(self.parts.vsock_device), *machines))
            self._make_initramfs()
            yield

    def _make_initramfs(self) -> None:
        overlay = self.folder / "overlay"
        (overlay / "app").mkdir(parents=True)
        for program in HERE.glob("in_*.py"):
            shutil.copy(program, overlay / "app")
        shutil.copy(self.root_pem, overlay / "app")
        shutil.copy(HERE / "init", overlay / "init")
        (overlay / "init").chmod(0o755)
        initramfs.write(self.folder / "overlay.gz", overlay)
        archives = [self.parts.archive, self.site, self.folder / "overlay.gz"]
        (self.folder / "initramfs").write_bytes(b"".join(map(Path.read_bytes, archives)))

    @contextmanager
    def guest(self, program: str, cid: int, *, nsm: bool = False) -> Iterator[Guest]:
        """Starts a guest that runs a program of this folder, and kills it at the end."""
        options = _sockets("vsock", self.folder / f"vsock{cid}", "vhost-user-vsock-pci")
        if nsm:
            device = "vhost-user-test-device-pci,virtio-id=33,num_vqs=1,vq_size=64"
            options += _sockets("nsm", self.folder / "nsm", device)
        log = self.folder / f"console{cid}.log"
        log.touch()
        command = [*self._qemu(), "-append", _kernel_arguments(program), *options]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                yield Guest(process, log)
            finally:
                process.kill()

    def _qemu(self) -> list[str]:
        root = self.parts.qemu
        libraries = root / "usr/lib/x86_64-linux-gnu"
        data = [root / "usr/share/qemu", root / "usr/share/seabios", root / "usr/lib/ipxe/qemu"]
        return [
            # QEMU's own loader and libraries, because those of this machine may be older.
            *(f"{libraries}/ld-linux-x86-64.so.2", "--library-path", str(libraries)),
            str(root / "usr/bin/qemu-system-x86_64"),
            *(word for folder in data for word in ("-L", str(folder))),
            # Emulated, because not every test machine can virtualise.
            *("-M", "q35,memory-backend=memory", "-accel", "tcg", "-cpu", "qemu64", "-m", "512"),
            *("-object", "memory-backend-memfd,id=memory,size=512M,share=on"),
            *("-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"),
            *("-kernel", str(self.parts.kernel), "-initrd", str(self.folder / "initramfs")),
        ]


def _sockets(name: str, path: Path, device: str) -> list[str]:
    return ["-chardev", f"socket,id={name},path={path}", "-device", f"{device},chardev={name}"]


def _kernel_arguments(program: str) -> str:
    arguments = ["console=ttyS0", "panic=-1", "quiet", f"run={program}"]
    speed = re.search(r"cpu MHz\s*:\s*([0-9.]+)", Path("/proc/cpuinfo").read_text("utf-8"))
    if speed:
        # Given, because an emulated guest under load may measure it wrong and hang.
        arguments += [f"tsc_early_khz={int(float(speed[1]) * 1000)}", "tsc=reliable"]
    return " ".join(arguments)
