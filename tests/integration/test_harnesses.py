"""The harnesses of other languages follow the protocol of ``run_vectors.py --adapter``.

Each is built and run with the commands of its README: with its example of a verifier, and with a
verifier of ``tests/integration/harnesses`` that prints noise and answers by the document:
``accept``, ``unsupported``, ``crash``, or reject any other with what it received as the message.
"""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT

HARNESSES = {
    "c": ("harness.c", "harness.h", "verifier.c"),
    "go": ("harness.go", "verifier.go"),
    "java": ("Harness.java", "Verifier.java"),
    "node": ("harness.mjs", "verifier.mjs"),
    "rust": ("src/main.rs", "src/verifier.rs"),
}
"""The files of each harness, by its folder; the last one is replaced by its user."""

LINES = 150
"""A harness has fewer lines than this, without the example."""

POLICY = {
    "kind": "nitrotpm",
    "pcrs": [{"0": "00ff", "15": "aa"}, {"4": "0b"}],
    "nonce": "00",
    "user_data": "",
    "public_key": None,
    "max_age_ms": 2500,
    "allow_debug": True,
    "clock_skew_ms": 60000,
}
EMPTY = {
    "kind": "enclave",
    "pcrs": [],
    "nonce": None,
    "user_data": None,
    "public_key": None,
    "max_age_ms": None,
    "allow_debug": False,
    "clock_skew_ms": 0,
}
REQUEST = {
    "protocol": 1,
    "id": 'X-1."quoted"',
    "document": base64.b64encode(bytes(range(250, 256))).decode(),
    "root": "-----BEGIN\nEND-----\n",
    "time": "2026-03-01T12:00:00.250Z",
    "policy": EMPTY,
}

needs_toolchains = pytest.mark.skipif(
    os.environ.get("NITRO_ATTEST_HARNESSES") != "1",
    reason="NITRO_ATTEST_HARNESSES=1 builds the harnesses; .ci/run harnesses has what they need",
)
languages = pytest.mark.parametrize("language", HARNESSES)


def commands(language):
    """The commands of a README: entering the folder, building, and running the suite."""
    readme = (ROOT / "harnesses" / language / "README.md").read_text()
    enter, *build, run = re.search("```sh\n(.*?)```", readme, re.S)[1].splitlines()
    assert enter == f"cd harnesses/{language}"
    assert run.startswith("python3 ../../tools/run_vectors.py --adapter ")
    return build, run


def build(folder):
    """Builds a copy of a harness, C with sanitizers."""
    flags = "-O1 -g -Werror -fsanitize=address,undefined -fno-sanitize-recover=all"
    for command in commands(folder.name)[0]:
        subprocess.run(
            command, cwd=folder, shell=True, check=True, env={**os.environ, "CFLAGS": flags}
        )
    return folder


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Builds the harness of a language with its example, once."""
    top = tmp_path_factory.mktemp("example")
    (top / "tools").symlink_to(ROOT / "tools")
    built = {}

    def copy(language):
        if language not in built:
            folder = top / "harnesses" / language
            ignored = shutil.ignore_patterns("build", "target")
            shutil.copytree(ROOT / "harnesses" / language, folder, ignore=ignored)
            built[language] = build(folder)
        return built[language]

    return copy


@pytest.fixture(scope="module")
def probe(example, tmp_path_factory):
    """Builds the harness of a language with the verifier of this test, once."""
    top = tmp_path_factory.mktemp("probe")
    (top / "tools").symlink_to(ROOT / "tools")
    built = {}

    def copy(language):
        if language not in built:
            folder = top / "harnesses" / language
            shutil.copytree(example(language), folder)  # with all that is built already
            verifier = Path(HARNESSES[language][-1])
            shutil.copyfile(ROOT / "tests/integration/harnesses" / verifier.name, folder / verifier)
            built[language] = build(folder)
        return built[language]

    return copy


def run_suite(folder, *options):
    """Runs the suite as the README says, with these options."""
    command = f"{commands(folder.name)[1]} {shlex.join(('--timeout', '120', *options))}"
    return subprocess.run(command, cwd=folder, shell=True, capture_output=True, text=True)


def ask(folder, *requests):
    """Sends requests, and returns the answers and how the process ended."""
    adapter = shlex.split(commands(folder.name)[1])[3]
    ended = subprocess.run(
        shlex.split(adapter),
        cwd=folder,
        input="".join(json.dumps(REQUEST | one) + "\n" for one in requests),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return [json.loads(line) for line in ended.stdout.splitlines()], ended


def document(text):
    return {"document": base64.b64encode(text).decode()}


@languages
def test_a_harness_is_small(language):
    *files, _ = HARNESSES[language]
    folder = ROOT / "harnesses" / language
    assert sum(len((folder / name).read_text().splitlines()) for name in files) < LINES


@needs_toolchains
@languages
def test_the_example_answers_the_cases_of_genuine_documents_and_of_signatures(example, language):
    result = run_suite(example(language), "--group", "genuine", "--group", "signature")
    assert result.returncode == 0, result.stdout + result.stderr


@needs_toolchains
@languages
def test_the_example_accepts_what_the_suite_rejects(example, language):
    result = run_suite(example(language), "--group", "envelope", "--json")
    assert result.returncode == 1, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["accepts_wrongly"]
    assert report["crashes"] == []


@needs_toolchains
@languages
def test_a_verifier_that_rejects_everything_does_not_pass(probe, language):
    result = run_suite(probe(language), "--group", "genuine")
    assert result.returncode == 2, result.stdout + result.stderr
    assert "no score: the verifier rejects everything" in result.stderr


@needs_toolchains
@languages
def test_the_verifier_receives_what_the_request_has(probe, language):
    times = {
        "2026-03-01T12:00:00.250Z": "1772366400250",
        "2024-02-29T23:59:59.999Z": "1709251199999",
        "1999-12-31T00:00:00.000Z": "946598400000",
        "2100-03-01T00:00:00.001Z": "4107542400001",
        "document": "document",
    }
    sizes = [b"", b"\x00", b"\x00\xff", b"\n\x80\x00"]  # each length of padding
    requests = [{"time": time} for time in times] + [document(one) for one in sizes]
    answers, ended = ask(probe(language), *requests, {"policy": POLICY})
    assert ended.returncode == 0, ended.stderr
    assert {(one["id"], one["result"], one["code"]) for one in answers} == {
        (REQUEST["id"], "reject", "probe")
    }
    received = [one["message"].split(" ", 3) for one in answers]
    assert [one[2] for one in received[:5]] == list(times.values())
    assert [one[0] for one in received[:5]] == ["fafbfcfdfeff"] * 5
    assert [one[0] for one in received[5:9]] == [one.hex() for one in sizes]
    assert {one[1] for one in received} == {str(len(REQUEST["root"]))}
    assert [json.loads(one[3]) for one in received] == [EMPTY] * 9 + [POLICY]
    assert ended.stderr.count("noise") == len(answers)


@needs_toolchains
@languages
def test_each_result_is_printed_by_its_name(probe, language):
    answers, ended = ask(probe(language), document(b"accept"), document(b"unsupported"))
    assert ended.returncode == 0
    assert [one["result"] for one in answers] == ["accept", "unsupported"]


@needs_toolchains
@languages
def test_images_policy_files_and_revocation_lists_are_unsupported(probe, language):
    image = {"protocol": 1, "id": "F-1.x", "image": "AA==", "time": None, "ignore_crc": False}
    asked = [
        {"policy_file": {"base64": "AA==", "enclave_name": None, "pcr_index": None}},
        {"revocation": {"max_age_ms": None, "lists": []}},
    ]
    answers, ended = ask(probe(language), *(document(b"accept") | one for one in asked))
    assert [one["result"] for one in answers] == ["unsupported"] * 2
    adapter = shlex.split(shlex.split(commands(language)[1])[3])
    alone = subprocess.run(
        adapter, cwd=probe(language), input=json.dumps(image) + "\n", capture_output=True, text=True
    )
    assert json.loads(alone.stdout)["result"] == "unsupported"
    assert "noise" not in ended.stderr + alone.stderr


@needs_toolchains
@languages
def test_a_crash_ends_the_process_without_an_answer(probe, language):
    answers, ended = ask(probe(language), document(b"accept"), document(b"crash"), {})
    assert [one["result"] for one in answers] == ["accept"]
    assert ended.returncode != 0
    assert language == "c" or REQUEST["id"] in ended.stderr


@needs_toolchains
@languages
@pytest.mark.parametrize("other", [{"protocol": 2}, {"protocol": None}])
def test_another_protocol_is_not_answered(probe, language, other):
    answers, ended = ask(probe(language), other)
    assert answers == []
    assert ended.returncode != 0
