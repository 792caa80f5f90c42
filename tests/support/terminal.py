"""Runs the command line tool on a terminal, and returns what the terminal received."""

import errno
import fcntl
import os
import struct
import subprocess
import sys
import termios

TOOL = [sys.executable, "-m", "nitro_attest"]


def run_on_terminal(*arguments, columns=80, stdout=None, pass_fds=(), **variables):
    """Runs the tool with a terminal as stdout and stderr; returns its exit code and the text.

    The text has no carriage returns before line feeds, which the terminal itself adds.

    Args:
        arguments: The arguments.
        columns: Width of the terminal; 0 for one that does not know it.
        stdout: A file or descriptor to use instead of the terminal as stdout.
        pass_fds: Descriptors that the tool inherits.
        variables: Environment variables; None removes one.
    """
    terminal, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    usual = {"LC_ALL": "C.UTF-8", "TERM": "xterm", "NO_COLOR": None, "COLUMNS": None}
    environment = os.environ | usual | variables
    with subprocess.Popen(
        [*TOOL, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=end if stdout is None else stdout,
        stderr=end,
        env={name: value for name, value in environment.items() if value is not None},
        pass_fds=pass_fds,
    ) as process:
        os.close(end)
        text = b"".join(iter(lambda: _read(terminal), b""))
    os.close(terminal)
    return process.returncode, text.decode().replace("\r\n", "\n")


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError as error:  # Linux reports the end of the other side as EIO
        if error.errno == errno.EIO:
            return b""
        raise
