"""The line of progress: its width, its states, and that it is erased."""

import io
import socket
import threading

import pytest

from nitro_attest.cli import progress
from nitro_attest.cli.output import emit
from nitro_attest.cli.progress import Progress, waiting
from support.terminal import run_on_terminal


class Terminal(io.StringIO):
    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def isatty(self):
        return True

    def write(self, text):
        self.written.set()
        return super().write(text)


def screen_of(monkeypatch):
    """Installs a terminal as stderr: not in a fixture, after which pytest installs its own."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "_SECONDS", 0)
    return terminal


def test_a_state_replaces_the_last_one(monkeypatch):
    screen = screen_of(monkeypatch)
    with Progress("working") as line:
        line.show(1, 4)
        line.show(3, 3)
        line.show(9, 3)
        line.show(12, None)
    blank = " " * len("working [#####---------------] 25 %")
    states = screen.getvalue().split("\r")
    assert states[:3] == [
        "working [#####---------------] 25 %",
        blank,
        "working [" + "#" * 20 + "] 100 %",
    ]
    assert states[-3:] == ["working 12", " " * len("working 12"), ""]


def test_other_output_begins_on_an_empty_line(monkeypatch):
    screen = screen_of(monkeypatch)
    with Progress("working") as line:
        line.show(0, 2)
        emit(["result"], to_stderr=True)
        assert screen.getvalue().endswith(" \rresult\n")
        line.show(1, 2)
    assert screen.getvalue().endswith(" \r")


def test_a_moment_later_nothing_is_drawn(monkeypatch):
    screen = screen_of(monkeypatch)
    monkeypatch.setattr(progress, "_SECONDS", 60)
    with Progress("working") as line:
        line.show(0, 2)
        line.show(1, 2)
    assert "0 %" in screen.getvalue()
    assert "50 %" not in screen.getvalue()


def test_a_narrow_terminal_never_gets_a_full_line(monkeypatch):
    screen = screen_of(monkeypatch)
    monkeypatch.setattr("nitro_attest.cli.terminal.width", lambda _: 10)
    with Progress("working") as line:
        line.show(0, 2)
    assert screen.getvalue() == f"working [\r{' ' * 9}\r"


def test_the_line_is_erased_after_an_error(monkeypatch):
    screen = screen_of(monkeypatch)
    line = Progress("working")
    line.show(0, 2)
    with pytest.raises(KeyboardInterrupt), line:
        raise KeyboardInterrupt
    assert screen.getvalue().endswith(" \r")


def test_waiting_shows_the_time_that_passes(monkeypatch):
    screen = screen_of(monkeypatch)
    with waiting("waiting", 60):
        assert screen.written.wait(30)
    assert screen.getvalue().startswith("waiting [--------------------] 0 %\r")
    assert screen.getvalue().endswith(" \r")


def test_waiting_for_no_time_shows_nothing(monkeypatch):
    screen = screen_of(monkeypatch)
    with waiting("waiting", 0):
        pass
    assert screen.getvalue() == ""


def test_fetch_shows_that_it_waits(tmp_path):
    path = str(tmp_path / "socket")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def answer():
        connection = server.accept()[0]
        with connection:
            connection.recv(4096)
            connection.sendall(b"not HTTP\r\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    arguments = ["--any-enclave", "--endpoint", f"unix:{path}", "--wait", "60s"]
    code, text = run_on_terminal("fetch", *arguments, "--color", "never")
    thread.join(30)
    server.close()
    assert code == 7
    assert text.startswith("waiting for the enclave [--------------------] 0 %\r")
    before, _, after = text.partition("\r✗ REJECTED transport.http:")
    assert before.endswith(" ")
    assert "waiting" not in after
