"""``nitro-attest fetch`` and ``nitro-attest enclave`` in process."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import FIXTURES
from nitro_attest.__main__ import run
from nitro_attest.cli import fetch as fetch_verb
from nitro_attest.cli.nitro_cli import find_cid, parse_cid
from nitro_attest.enclave.client import Fetched
from nitro_attest.enclave.server import AttestationServer
from nitro_attest.errors import EnclaveError
from nitro_attest.testing import FakeNitro
from nitro_attest.transport.connection import UnixEndpoint, listen

PCR0 = b"\7" * 48
IMAGE = FIXTURES / "vectors/eif/synthetic.eif"


@contextmanager
def serving(
    folder: Path, fake: FakeNitro, attester: Callable[..., bytes]
) -> Generator[list[str], None, None]:
    """Runs a local server; the value is the options that name it and the root."""
    path, root = str(folder / "server.sock"), folder / "root.pem"
    root.write_bytes(fake.root_pem)
    server = AttestationServer(listen(UnixEndpoint(path, None)), SimpleNamespace(attest=attester))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield ["--endpoint", f"unix:{path}", "--root", str(root)]
    finally:
        server.stop()
        thread.join(30)


@pytest.fixture
def served(tmp_path: Path, fake: FakeNitro) -> Iterator[list[str]]:
    """The options that name a local server and its root."""
    with serving(tmp_path, fake, partial(fake.document, pcrs={0: PCR0})) as options:
        yield options


def test_fetch_verifies_and_saves(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "document"
    arguments = ["--pcr", f"0={PCR0.hex()}", "--save", str(saved), "--json"]
    assert run(["fetch", *served, *arguments]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verified"] is True
    assert answer["source"] == served[1]
    assert saved.stat().st_size > 1000


def test_fetch_prints_no_verdict_before_the_document_is_saved(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    assert run(["fetch", *served, "--any-enclave", "--save", "/dev/full"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "cannot write '/dev/full'" in captured.err


def test_fetch_saves_a_rejected_document_where_it_is_asked_to(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, rejected = tmp_path / "document", tmp_path / "rejected"
    files = ["--save", str(saved), "--save-rejected", str(rejected)]
    assert run(["fetch", *served, *files, "--pcr", "0=" + "01" * 48]) == 6
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == f"not accepted, saved to {rejected}"
    assert captured.err.splitlines()[1].startswith("REJECTED policy.pcr_mismatch: ")
    assert not saved.exists()
    assert run(["inspect", str(rejected)]) == 0
    assert run(["verify", str(rejected), *served[2:], "--pcr", f"0={PCR0.hex()}"]) == 0
    rejected.unlink()
    assert run(["fetch", *served, *files, "--any-enclave"]) == 0
    assert saved.exists()
    assert not rejected.exists()


def test_fetch_saves_what_is_no_document_at_all(tmp_path: Path, fake: FakeNitro) -> None:
    rejected = tmp_path / "rejected"
    with serving(tmp_path, fake, lambda **_: b"no document") as options:
        arguments = ["--any-enclave", "--save-rejected", str(rejected)]
        assert run(["fetch", *options, *arguments]) == 3
    assert rejected.read_bytes() == b"no document"


def test_a_rejection_keeps_its_exit_code_if_the_document_cannot_be_saved(
    served: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    arguments = ["--pcr", "0=" + "01" * 48, "--save-rejected", "/dev/full"]
    assert run(["fetch", *served, *arguments]) == 6
    assert "cannot write '/dev/full'" in capsys.readouterr().err


def test_without_an_answer_nothing_is_saved(tmp_path: Path) -> None:
    rejected = tmp_path / "rejected"
    endpoint = f"unix:{tmp_path}/absent:1300"
    arguments = ["--any-enclave", "--endpoint", endpoint, "--save-rejected", str(rejected)]
    assert run(["fetch", *arguments]) == 7
    assert not rejected.exists()


@pytest.mark.parametrize("option", ["--save", "--save-rejected"])
@pytest.mark.parametrize("name", ["", "{folder}", "{folder}/absent/file"])
def test_a_file_that_cannot_be_made_is_found_before_the_challenge(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, name: str
) -> None:
    path = name.format(folder=tmp_path)
    assert run(["fetch", *served, "--any-enclave", option, path]) == 2
    assert capsys.readouterr().out == ""


def test_accepted_and_rejected_documents_go_to_two_files(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    arguments = ["--any-enclave", "--cid", "16", "--save", path, "--save-rejected", path]
    assert run(["fetch", *arguments]) == 2


def test_two_names_of_one_file_are_a_usage_error(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "saved").write_bytes(b"kept")
    (tmp_path / "same").hardlink_to(tmp_path / "saved")
    files = ["--save", str(tmp_path / "saved"), "--save-rejected", str(tmp_path / "same")]
    assert run(["fetch", *served, "--any-enclave", *files]) == 2
    assert "cannot name the same file" in capsys.readouterr().err
    assert (tmp_path / "saved").read_bytes() == b"kept"


def test_a_document_with_an_unaccepted_warning_is_not_saved_as_accepted(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, rejected = tmp_path / "document", tmp_path / "rejected"
    files = ["--save", str(saved), "--save-rejected", str(rejected)]
    arguments = ["--pcr", f"0={PCR0.hex()}", "--fail-on-warning", *files]
    assert run(["fetch", *served, *arguments]) == 6
    captured = capsys.readouterr()
    assert "FAILED ON WARNING root.custom" in captured.err
    assert "VERIFIED" not in captured.out
    assert not saved.exists()
    assert rejected.exists()
    accepted = ["--accept-warning", "root.custom", "--accept-warning", "policy.weak"]
    assert run(["fetch", *served, *arguments, *accepted]) == 0
    assert saved.exists()


@pytest.mark.parametrize(
    ("wanted", "options", "code"),
    [
        ({"user_data": b"u", "public_key": b"p"}, ["--user-data", "75"], 0),
        ({"user_data": b"u"}, ["--user-data", "76"], 6),
        ({"user_data": None}, ["--user-data", "75"], 6),
        ({"public_key": b"the key"}, ["--public-key", "{key}"], 0),
        ({"public_key": b"another key"}, ["--public-key", "{key}"], 6),
        ({}, ["--user-data", ""], 2),
        ({}, ["--public-key", os.devnull], 2),
    ],
)
def test_fetch_takes_the_expected_values_of_verify(
    tmp_path: Path, fake: FakeNitro, wanted: dict[str, bytes], options: list[str], code: int
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"the key")
    values = [option.format(key=key) for option in options]

    def attester(nonce: bytes | None = None, **_: object) -> bytes:
        return fake.document(nonce=nonce, **wanted)

    with serving(tmp_path, fake, attester) as served:
        rejected = tmp_path / "rejected"
        arguments = ["--any-enclave", "--save-rejected", str(rejected), *values]
        assert run(["fetch", *served, *arguments]) == code
        assert rejected.exists() == (code == 6)  # a usage error is found before the challenge


def test_fetch_rejects_a_different_image_and_saves_nothing(
    served: list[str], tmp_path: Path
) -> None:
    saved = tmp_path / "document"
    assert run(["fetch", *served, "--pcr", "0=" + "01" * 48, "--save", str(saved)]) == 6
    assert not saved.exists()


@pytest.mark.parametrize("nonce", [None, b"a different challenge"])
def test_fetch_rejects_the_answer_to_a_different_challenge(
    tmp_path: Path, fake: FakeNitro, capsys: pytest.CaptureFixture[str], nonce: bytes | None
) -> None:
    replayed, saved = fake.document(nonce=nonce), tmp_path / "document"
    with serving(tmp_path, fake, lambda **_: replayed) as options:
        for challenge in ([], ["--nonce", "ab" * 16]):
            arguments = ["--any-enclave", "--save", str(saved), *challenge]
            assert run(["fetch", *options, *arguments]) == 6
            assert "policy.nonce" in capsys.readouterr().err
        assert not saved.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cid", "16"],
        ["--any-enclave"],
        ["--any-enclave", "--cid", "16", "--enclave-name", "x"],
        ["--any-enclave", "--endpoint", "vsock:16:1", "--port", "2"],
        ["--any-enclave", "--endpoint", "nowhere"],
        ["--any-enclave", "--cid", "0"],
        ["--any-enclave", "--cid", "16", "--nonce", "00"],
        ["--any-enclave", "--enclave-name", ""],
        ["--any-enclave", "--endpoint", ""],
        ["--any-enclave", "--cid", "16", "--eif", str(IMAGE)],
        ["--cid", "16", "--pcr-index", "0"],
        ["--cid", "16", "--require-unsigned"],
    ],
)
def test_a_usage_error_of_fetch_exits_2(arguments: list[str]) -> None:
    assert run(["fetch", *arguments]) == 2


def test_fetch_has_the_requirement_options_of_verify(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "pcrs.txt"
    policy.write_text(f"PCR0={PCR0.hex()}\n")
    assert run(["fetch", *served, "--policy", str(policy), "--require-unsigned"]) == 0
    assert capsys.readouterr().out.startswith("VERIFIED (measurements match PCR0, PCR8)")
    assert run(["fetch", *served, "--eif", str(IMAGE)]) == 6
    assert run(["fetch", *served, "--policy", str(policy), "--eif", str(IMAGE)]) == 2


def test_fetch_without_an_enclave_exits_7(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = f"unix:{tmp_path}/absent:1300"
    assert run(["fetch", "--any-enclave", "--endpoint", endpoint, "--json"]) == 7
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "transport.refused"


DESCRIBED = [
    {"EnclaveName": "mine", "EnclaveCID": 17, "State": "RUNNING"},
    {"EnclaveName": "mine", "EnclaveCID": 16, "State": "TERMINATING"},
    {"EnclaveName": "twice", "EnclaveCID": 18, "State": "RUNNING"},
    {"EnclaveName": "twice", "EnclaveCID": 19, "State": "RUNNING"},
    {"EnclaveID": "from a nitro-cli without names", "EnclaveCID": 20, "State": "RUNNING"},
]


def described(cid: str, more: str = "") -> bytes:
    return b'[{"EnclaveName": "mine", "State": "RUNNING", "EnclaveCID": %b}%b]' % (
        cid.encode(),
        more.encode(),
    )


def test_the_name_of_an_enclave_is_looked_up() -> None:
    assert parse_cid(json.dumps(DESCRIBED, indent=2).encode() + b"\n", "mine") == 17
    assert parse_cid(described("4294967294"), "mine") == 4294967294


@pytest.mark.parametrize(
    ("output", "name", "code"),
    [
        pytest.param(json.dumps(DESCRIBED).encode(), "twice", "no_cid", id="twice"),
        pytest.param(json.dumps(DESCRIBED).encode(), "absent", "no_cid", id="absent"),
        pytest.param(b"[]", "mine", "no_cid", id="no_enclave"),
        pytest.param(b"", "mine", "nitro_cli", id="nothing"),
        pytest.param(b"{}", "mine", "nitro_cli", id="no_list"),
        pytest.param(b"[1]", "mine", "nitro_cli", id="no_object"),
        pytest.param(b"nonsense", "mine", "nitro_cli", id="no_json"),
        pytest.param(b"\xff[]", "mine", "nitro_cli", id="no_utf8"),
        pytest.param(described("17") + b"[]", "mine", "nitro_cli", id="two_values"),
        pytest.param(described('17, "EnclaveCID": 18'), "mine", "nitro_cli", id="duplicate_key"),
        pytest.param(described('17, "enclavecid": 18'), "mine", "nitro_cli", id="key_in_two_cases"),
        pytest.param(described("17", ", 1"), "mine", "nitro_cli", id="one_no_object"),
        pytest.param(b"[" * 100000, "mine", "nitro_cli", id="nested"),
        pytest.param(b'[{"a":' * 50000, "mine", "nitro_cli", id="nested_objects"),
        pytest.param(described("9" * 5000), "mine", "nitro_cli", id="endless_number"),
        *(
            pytest.param(described(cid), "mine", "nitro_cli", id=f"cid_{cid}")
            for cid in ("0", "-1", "4294967295", "1.0", "true", "null", '"17"', "NaN", "[17]")
        ),
    ],
)
def test_other_output_of_nitro_cli_is_rejected(output: bytes, name: str, code: str) -> None:
    with pytest.raises(EnclaveError) as caught:
        parse_cid(output, name)
    assert caught.value.code == f"transport.{code}"
    assert len(caught.value.message) < 300


@pytest.fixture
def nitro_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a shell script as nitro-cli."""

    def install(script: str) -> None:
        program = tmp_path / "nitro-cli"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return install


def test_the_enclave_of_the_name_is_challenged(
    nitro_cli: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nitro_cli(f"test \"$*\" = describe-enclaves && echo '{json.dumps(DESCRIBED)}'")
    endpoints: list[str] = []

    def no_document(endpoint: str, nonce: bytes | None, **_: float) -> Fetched:
        endpoints.append(endpoint)
        return Fetched(b"x", bytes(32))

    monkeypatch.setattr(fetch_verb, "fetch", no_document)
    assert run(["fetch", "--any-enclave", "--enclave-name", "mine"]) == 3
    assert endpoints == ["vsock:17:1300"]


def test_endless_output_of_nitro_cli_is_rejected(nitro_cli: Callable[[str], None]) -> None:
    nitro_cli("while :; do echo '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['; done")
    with pytest.raises(EnclaveError, match="at most 1048576 bytes") as caught:
        find_cid("mine")
    assert caught.value.code == "transport.nitro_cli"


def test_a_nitro_cli_that_does_not_end_is_rejected(
    nitro_cli: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nitro_attest.cli.nitro_cli._SECONDS", 0.05)
    nitro_cli("exec tail -f /dev/null")
    with pytest.raises(EnclaveError, match=r"no end of its output within 0\.05 s"):
        find_cid("mine")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), ("#!/bin/sh\nexit 3\n", "exit status 3")],
    ids=["absent", "failing"],
)
def test_the_reason_why_nitro_cli_failed_is_shown(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    reason: str,
) -> None:
    if content is not None:
        program = tmp_path / "nitro-cli"
        program.write_text(content)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["fetch", "--any-enclave", "--enclave-name", "mine"]) == 7
    message = capsys.readouterr().err
    assert "transport.nitro_cli" in message
    assert reason in message
    assert "use --cid instead" in message


def test_the_enclave_verb_runs_the_program_of_the_enclave(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["enclave", "serve", "--listen", "nowhere"]) == 2
    assert "input.endpoint" in capsys.readouterr().err
    assert run(["enclave", "--help"]) == 0
    usage = "usage: nitro-attest enclave [-h] {request,serve,forward}"
    assert capsys.readouterr().out.startswith(usage)


@pytest.mark.parametrize(("options", "code"), [([], 6), (["--consistency", "warn"], 0)])
def test_x24_fetch_rejects_names_that_disagree_unless_a_warning_is_enough(
    monkeypatch: pytest.MonkeyPatch,
    fake: FakeNitro,
    tmp_path: Path,
    options: list[str],
    code: int,
) -> None:
    root, nonce = tmp_path / "root.pem", bytes(32)
    root.write_bytes(fake.root_pem)
    document = fake.document(nonce=nonce, fault="X-24.other-enclave")
    monkeypatch.setattr(fetch_verb, "fetch", lambda *_, **__: Fetched(document, nonce))
    arguments = ["fetch", "--cid", "16", "--any-enclave", "--root", str(root), *options]
    assert run(arguments) == code
