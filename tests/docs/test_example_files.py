"""The files of examples/enclave pin what they install, and the PCRs of the image that they run."""

import configparser
import re
from importlib import metadata

import pytest

from conftest import ROOT
from nitro_attest.__main__ import run

FOLDER = ROOT / "examples" / "enclave"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(ROOT / "docs").rglob("*.md"),
    *(
        path
        for path in (ROOT / "examples").rglob("*")
        if path.suffix not in (".whl", ".pyc") and path.is_file()
    ),
    *(ROOT / "src").rglob("*.py"),
]
IMAGE_PCRS = ("0", "1", "2")


def instructions():
    """The instructions of the Dockerfile, each with its arguments on one line."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines()]


def arguments(instruction):
    return [rest for name, rest in instructions() if name == instruction]


def requirements():
    text = (FOLDER / "requirements.txt").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if not line.startswith("#")]


@pytest.fixture(scope="module")
def unit():
    parser = configparser.RawConfigParser()
    parser.optionxform = str
    parser.read(FOLDER / "attested-enclave.service")
    return parser


def test_the_base_image_is_pinned_by_a_digest_without_a_default():
    (base,) = arguments("FROM")
    assert re.fullmatch(r"python:3\.\d+-slim@\$\{PYTHON_DIGEST\}", base)
    assert arguments("ARG") == ["PYTHON_DIGEST"]


def test_the_package_is_a_wheel_that_is_copied_in():
    (copied,) = arguments("COPY")
    assert copied.split() == ["requirements.txt", "nitro_attest-*.whl", "/tmp/"]
    assert arguments("ADD") == []


def test_every_installation_is_from_hashes_or_without_an_index():
    (commands,) = arguments("RUN")
    installed = []
    for command in commands.split("&&"):
        words = command.split()
        assert words[:2] == ["pip", "install"]
        assert "--no-deps" in words
        assert ("--require-hashes" in words) != ("--no-index" in words)
        installed += [word for word in words[2:] if not word.startswith((":", "-"))]
    assert installed == ["/tmp/requirements.txt", "/tmp/nitro_attest-*.whl"]


def test_each_requirement_has_one_version_and_hashes():
    (requirement,) = requirements()
    name, version = requirement[0].split("==")
    needed = metadata.requires("nitro-attest") or []
    (floor,) = (item for item in needed if re.match(rf"{name}\b", item))
    assert numbers(version) >= numbers(re.search(">=([0-9.]+)", floor)[1])
    assert len(requirement) >= 2
    for option in requirement[1:]:
        assert re.fullmatch("--hash=sha256:[0-9a-f]{64}", option)


def numbers(version):
    return [int(number) for number in version.split(".")]


def test_the_unit_has_a_user_and_no_way_to_more_privileges(unit):
    service = unit["Service"]
    assert service["User"] not in ("", "root", "0")
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    commands = [value for key, value in service.items() if key.startswith("Exec")]
    assert not [command for command in commands if command.startswith(("+", "!"))]


def test_the_unit_fails_unless_all_pcrs_of_the_image_match(unit):
    words = unit["Service"]["ExecStartPost"].split()
    assert words[:2] == ["/opt/nitro-attest/bin/nitro-attest", "fetch"]
    given = [words[place + 1] for place, word in enumerate(words) if word == "--pcr"]
    assert given == [f"{index}=${{PCR{index}}}" for index in IMAGE_PCRS]


@pytest.mark.parametrize("index", IMAGE_PCRS)
def test_the_unit_fails_if_a_pcr_is_missing_from_its_environment(unit, index, capsys):
    """systemd puts nothing in place of a variable that is not set."""
    command = " ".join(unit["Service"]["ExecStartPost"].split()[1:])
    for other in IMAGE_PCRS:
        value = "" if other == index else "ab" * 48
        command = command.replace(f"${{PCR{other}}}", value)
    assert run(command.split()) == 2
    assert f"found '{index}='" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pip install --no-deps nitro-attest", True),
        ("pip install 'nitro-attest[kms]==0.1.0'", True),
        ("python3 -m pip download nitro_attest", True),
        ("pip install . && .venv/bin/nitro-attest verify", False),
        ("pip install PATH/TO/nitro-attest fastapi", False),
        ("pip install nitro_attest-0.1.0-cp310-abi3-linux_x86_64.whl", False),
    ],
)
def test_installations_by_name_are_found(text, found):
    assert installs_by_name(text) == found


def test_nothing_installs_the_package_by_name():
    """There is no release: whoever registers the name would get their code installed."""
    assert [path for path in PAGES if installs_by_name(path.read_text())] == []


def installs_by_name(text):
    for command in re.findall(r"pip3? (?:install|download|wheel)([^\n`&;]*)", text):
        words = re.split(r"[\s\"']+", command)
        if any(re.match(r"nitro[-_.]attest(?!\S*\.whl)", word) for word in words):
            return True
    return False
