"""``python -m nitro_attest.enclave``, as far as it runs without a device."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from nitro_attest.__main__ import run
from nitro_attest.enclave import __main__ as program
from nitro_attest.enclave.__main__ import main
from nitro_attest.enclave.forward import ForwardLimits

HEAVY = "click,cryptography,_cffi_backend,nitro_attest.verification,nitro_attest.cli"


class FakeNsm:
    def __enter__(self) -> FakeNsm:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def attest(self, **fields: bytes | None) -> bytes:
        return repr(sorted(fields.items())).encode()


@pytest.fixture
def _fake_nsm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "Nsm", FakeNsm)


@pytest.mark.parametrize("module", ["nitro_attest.enclave.nsm", "nitro_attest.enclave.__main__"])
def test_the_enclave_side_loads_nothing_heavy(module: str) -> None:
    code = f"import {module}, sys; print({{*'{HEAVY}'.split(',')}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_missing_device_exits_7() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nitro_attest.enclave", "request"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, b"")
    assert done.stderr.startswith(b"error: nsm.device: cannot open /dev/nsm")


@pytest.mark.usefixtures("_fake_nsm")
def test_request_writes_the_document(tmp_path: Path, capfdbinary: pytest.CaptureFixture) -> None:
    key, output = tmp_path / "key.der", tmp_path / "document"
    key.write_bytes(b"key")
    fields = ["--nonce", "00ff", "--user-data", "01", "--public-key", str(key)]
    document = b"[('nonce', b'\\x00\\xff'), ('public_key', b'key'), ('user_data', b'\\x01')]"
    assert main(["request", *fields]) == 0
    assert capfdbinary.readouterr().out == document
    assert main(["request", *fields, "--format", "hex", "--output", str(output)]) == 0
    assert bytes.fromhex(output.read_text()) == document


@pytest.mark.usefixtures("_fake_nsm")
@pytest.mark.parametrize(("key", "code"), [(b"key", 0), (b"", 2)])
def test_the_public_key_may_come_from_stdin(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture, key: bytes, code: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(key)))
    assert main(["request", "--public-key", "-"]) == code
    assert (b"('public_key', b'key')" in capfdbinary.readouterr().out) == (code == 0)


@pytest.mark.usefixtures("_fake_nsm")
def test_an_unwritable_output_exits_74(tmp_path: Path) -> None:
    assert main(["request", "--output", str(tmp_path / "absent" / "document")]) == 74


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["request", "--nonce", ""],
        ["request", "--nonce", "0"],
        ["request", "--public-key", "/absent"],
        ["request", "--public-key", "/dev/null"],
        ["serve", "--port", "x"],
        ["serve", "--port", "1", "--listen", "unix:/x"],
        ["serve", "--tls"],
        ["serve", "--forward", "unix:/x"],
        ["serve", "--tls", "--forward", ""],
        ["serve", "--tls", "--forward", "unix:/x", "--public-key", __file__],
        ["forward", "--listen", "127.0.0.1:1"],
        ["forward", "--to", "vsock:16:443"],
        ["forward", "--listen", "127.0.0.1:1", "--to", "vsock:16:443", "--idle", "0"],
        ["forward", "--listen", "127.0.0.1:1", "--to", "vsock:16:443", "--idle", "1.5"],
        ["forward", "--listen", "127.0.0.1:1", "--to", "vsock:16:443", "--connections", "-1"],
        ["forward", "--listen", "127.0.0.1:1", "--to", "vsock:16:443", "--connections", "9" * 5000],
    ],
)
def test_a_usage_error_exits_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "4294967295"],
        ["serve", "--listen", "nowhere"],
        ["serve", "--tls", "--forward", "nowhere"],
        ["serve", "--tls", "--forward", "127.0.0.1:8080", "--listen", "http://127.0.0.1:443"],
        ["forward", "--listen", "127.0.0.1:0", "--to", "vsock:any:443"],
    ],
)
def test_an_invalid_endpoint_exits_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


def test_the_options_of_tls_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(program, "serve_tls", lambda *args, **named: calls.append((args, named)))
    application = ["--forward", "unix:/run/app.sock"]
    assert main(["serve", "--tls", "--port", "443", *application, "--user-data", "00ff"]) == 0
    assert main(["serve", "--tls", "--listen", "[::]:443", *application]) == 0
    forward = {"forward": "unix:/run/app.sock"}
    assert calls == [
        (("vsock:any:443",), forward | {"user_data": b"\x00\xff"}),
        (("[::]:443",), forward | {"user_data": None}),
    ]


def test_the_options_of_forward_reach_the_forwarder(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(program, "forward", lambda *args, limits: calls.append((*args, limits)))
    ends = ["--listen", "0.0.0.0:443", "--to", "vsock:16:443"]
    assert main(["forward", *ends]) == 0
    assert main(["forward", *ends, "--connections", "9", "--idle", "60"]) == 0
    assert calls == [
        ("0.0.0.0:443", "vsock:16:443", ForwardLimits()),
        ("0.0.0.0:443", "vsock:16:443", ForwardLimits(connections=9, idle_seconds=60)),
    ]


def test_the_help_names_the_program_as_it_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "usage: python -m nitro_attest.enclave " in capsys.readouterr().out
    assert run(["enclave", "--help"]) == 0
    assert "usage: nitro-attest enclave " in capsys.readouterr().out


def test_without_click_the_tool_names_the_program_to_run_instead() -> None:
    code = "import sys; sys.modules['click'] = None\nfrom nitro_attest.__main__ import main; main()"
    for arguments, message in (
        (
            ["enclave", "serve", "--listen", "unix:/a b"],
            "inside an enclave, run: python3 -m nitro_attest.enclave serve --listen 'unix:/a b'\n",
        ),
        (["verify", "x"], "the package click, which the command line needs, is not installed\n"),
    ):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("nitro-attest: the package click")
        assert done.stderr.endswith(message)
