"""``nitro-attest demo``: what it writes, and where it writes nothing."""

import re
from datetime import timedelta

import pytest

from nitro_attest import TrustedRoots
from nitro_attest.measurements import measure
from nitro_attest.policy_files import load_policy
from nitro_attest.testing.desk import LIFETIME, desk_files

MADE_ANEW = {"README.txt", "variables.sh", "enclaves.json", "next-root.sha256"}
"""The files that differ in each run, beside roots, documents and lists."""


@pytest.fixture
def desk(tmp_path, when):
    """The files, made at a fixed time."""
    for path, content in desk_files(when).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return tmp_path


@pytest.fixture
def verify(tool, desk, clock):
    def call(document, *options):
        nonce = re.search("NONCE=(.+)", (desk / "variables.sh").read_text())[1]
        arguments = (desk / document, "--eif", desk / "app.eif", "--nonce", nonce)
        return tool("verify", *arguments, *options)

    return call


def results(desk):
    """The result of each document that README.txt gives."""
    return dict(re.findall(r"^    (\S+\.bin) +(\S+)", (desk / "README.txt").read_text(), re.M))


def everything_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_documents_give_the_results_in_the_readme(desk, verify):
    assert results(desk).keys() == {path.name for path in desk.glob("*.bin")}
    for document, result in results(desk).items():
        code, out, err = verify(document, "--root", desk / "root.pem")
        first = (out or err).splitlines()[0]
        expected = "VERIFIED " if result == "VERIFIED" else f"REJECTED {result}: "
        assert first.startswith(expected), document
        assert (code == 0) == (result == "VERIFIED")


def test_no_document_is_verified_unless_the_root_is_given(desk, verify):
    for document in results(desk):
        assert verify(document)[0] != 0
    assert "REJECTED chain.untrusted_root" in verify("doc.bin")[2]


def test_the_documents_expire_when_the_readme_says(desk, verify, when):
    expires = (when + LIFETIME).replace(microsecond=0)
    assert f"expire at {expires.isoformat(sep=' ')}." in (desk / "README.txt").read_text()
    root = ("--root", desk / "root.pem")
    assert verify("doc.bin", *root, "--at", expires.isoformat())[0] == 0
    late = (expires + timedelta(seconds=1)).isoformat()
    assert "REJECTED cert.expired" in verify("doc.bin", *root, "--at", late)[2]
    assert verify("expired.bin", *root, "--at", "document")[0] == 0


def test_the_readme_names_every_file(desk):
    text = (desk / "README.txt").read_text()
    for path in everything_in(desk) - {"README.txt"}:
        name = f"{path.partition('/')[0]}/" if "/" in path else path
        assert re.search(rf"(^|\s){re.escape(name)}([,\s]|$)", text), path


def test_the_build_output_and_the_policy_have_the_measurements_of_the_images(desk):
    for build, image in {"build.txt": "app.eif", "build-2.txt": "app-2.eif"}.items():
        pcrs = measure(desk / image).measurements()
        assert [dict(item.pcrs) for item in load_policy(desk / build).policy.measurements] == [pcrs]
    policy = [dict(item.pcrs) for item in load_policy(desk / "policy.json").policy.measurements]
    assert policy == [measure(desk / name).measurements() for name in ("app.eif", "app-2.eif")]


def test_images_and_what_follows_from_them_are_the_same_in_every_run(when):
    one, other = desk_files(when), desk_files(when)
    assert one.keys() == other.keys()
    differing = {path for path in one if one[path] != other[path]} - MADE_ANEW
    made_anew = (".bin", ".crl", "root.pem", ".intoto.json", "builder.pem", "other.pem")
    anew = {path for path in one if path.endswith(made_anew)}
    assert differing == anew


def test_no_file_has_a_private_key(when):
    assert not [path for path, content in desk_files(when).items() if b"PRIVATE" in content]


def test_the_root_is_not_one_of_aws(desk):
    (root,) = TrustedRoots.from_pem((desk / "root.pem").read_bytes())
    assert root.name.startswith("custom:")


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_or_empty_folder_is_filled(tool, tmp_path, exists):
    folder = tmp_path / "a desk"
    if exists:
        folder.mkdir()
    code, out, err = tool("demo", folder)
    assert (code, err) == (0, "")
    assert f"cd '{folder}' && cat README.txt" in out
    assert f"Made {len(everything_in(folder))} files." in out


def test_a_folder_with_a_file_is_left_as_it_is(tool, tmp_path):
    (tmp_path / "notes").write_text("mine")
    code, out, err = tool("demo", tmp_path)
    assert (code, out) == (2, "")
    assert "expected a new or empty folder, found 'notes'" in err
    assert everything_in(tmp_path) == {"notes"}


def test_what_is_not_a_folder_is_a_usage_error(tool, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in (tmp_path / "file", tmp_path / "link", tmp_path / "no/such", "", "a\0b"):
        code, out, err = tool("demo", name)
        assert (code, out) == (2, ""), name
        assert "Error: " in err
    assert tool("demo")[0] == 2
    assert everything_in(tmp_path) == {"file"}


def test_a_file_that_appears_meanwhile_is_not_overwritten(tool, tmp_path, monkeypatch):
    def files(made):
        (tmp_path / "desk/doc.bin").write_text("mine")
        return {"doc.bin": b"document"}

    monkeypatch.setattr("nitro_attest.cli.demo.desk_files", files)
    code, _, err = tool("demo", tmp_path / "desk")
    assert code == 74
    assert "doc.bin" in err
    assert (tmp_path / "desk/doc.bin").read_text() == "mine"
