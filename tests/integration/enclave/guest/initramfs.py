"""Writes an initramfs from a folder, without cpio, in the "newc" format of the kernel's
documentation
(Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def write(output: Path, tree: Path) -> None:
    """Packs a tree, with the two device nodes that init needs.

    The kernel unpacks concatenated archives in order, so that later files replace earlier ones.
    """
    with gzip.GzipFile(output, "wb", compresslevel=1, mtime=0) as archive:
        archive.write(_entry("dev", stat.S_IFDIR | 0o755))
        archive.write(_entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
        archive.write(_entry("dev/null", stat.S_IFCHR | 0o666, device=(1, 3)))
        for entry in _tree(tree):
            archive.write(entry)
        archive.write(_entry("TRAILER!!!", 0))


def _tree(root: Path) -> Iterator[bytes]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(folder, name)
            inside = str(path.relative_to(root))
            mode = path.lstat().st_mode
            if inside == "dev":
                continue
            if stat.S_ISLNK(mode):
                yield _entry(inside, mode, os.fsencode(path.readlink()))
            elif stat.S_ISREG(mode):
                yield _entry(inside, mode, path.read_bytes())
            elif stat.S_ISDIR(mode):
                yield _entry(inside, mode)


def _entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    path = os.fsencode(name) + b"\0"
    #          inode mode user group links time size        of-device  device  name       check
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
