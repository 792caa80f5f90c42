"""``nitro-attest eif``: the output for an image, with its text escaped."""

import io
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from conftest import FIXTURES
from nitro_attest.cli import image as image_module
from nitro_attest.cli import progress
from nitro_attest.testing.eif import build_eif, self_signed_certificate, with_crc

IMAGES = FIXTURES / "vectors/eif"
VECTORS = json.loads((FIXTURES / "vectors/measurements.json").read_text())["eif"]


@pytest.fixture
def written(tmp_path):
    """Writes an image built from keyword arguments, or changed by a function; gives its path."""

    def write(change=lambda image: image, **options):
        sections = {"kernel": b"k", "cmdline": b"c", "ramdisks": [b"r"], "metadata": {}}
        path = tmp_path / "image.eif"
        path.write_bytes(change(build_eif(**sections | options)))
        return path

    return write


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_worked_images_have_the_published_measurements(tool, vector):
    path = FIXTURES / "vectors" / vector["file"]
    code, out, err = tool("eif", path)
    assert (code, err) == (0, "")
    assert out.startswith("MEASURED")
    for index, value in vector["pcrs"].items():
        assert f"  PCR{index}         {value}\n" in out
    image = json.loads(tool("eif", path, "--json")[1])["image"]
    assert image["pcrs"] == vector["pcrs"]
    assert image["crc32_stored"] == vector["crc32"]
    assert [section["size"] for section in image["sections"]] == [
        len(section["data"]) // 2 for section in vector["sections"]
    ]


def test_metadata_is_shown_as_unattested(tool):
    out = tool("eif", IMAGES / "synthetic.eif")[1]
    assert '  unattested   ImageName: "synthetic"\n' in out
    answer = json.loads(tool("eif", IMAGES / "synthetic.eif", "--json")[1])
    assert (answer["schema"], answer["source"]) == (
        "nitro-attest/1",
        str(IMAGES / "synthetic.eif"),
    )
    assert answer["image"]["unattested_metadata"]["ImageVersion"] == "1.0"


def test_metadata_cannot_control_or_flood_a_terminal(tool, written):
    path = written(metadata={"Image\x1b[2J": "\x1b]0;x\x07\n  PCR0 \u202e", "Long": "x" * 9999})
    out = tool("eif", path)[1]
    assert out.replace("\n", "").isprintable()
    assert out.isascii()
    assert out.count("\n  PCR0 ") == 1
    assert max(map(len, out.splitlines())) < 300


def test_s2_the_signature_is_shown_with_pcr8(tool, written):
    key = ec.derive_private_key(7, ec.SECP384R1())
    path = written(signing_key=key, certificate_pem=self_signed_certificate(key))
    code, out, _ = tool("eif", path)
    assert code == 0
    assert "\n  PCR8  " in out
    assert "signature    valid, ES384" in out
    assert "CN=EIF signer for tests" in out
    image = json.loads(tool("eif", path, "--json")[1])["image"]
    assert len(image["pcrs"]["8"]) == 96
    assert image["validity_checked_at"] is not None


def test_an_unsigned_image_shows_that_pcr8_will_be_zero(tool, written):
    assert "signature    none: PCR8 will be zero" in tool("eif", written())[1]


def test_f4_an_image_without_metadata_has_a_warning(tool, written):
    out = tool("eif", written(metadata=None))[1]
    assert "unattested   no metadata" in out
    assert "warning      eif.no_metadata" in out


def test_f5_a_wrong_crc_is_an_error_or_with_ignore_crc_a_warning(tool, written):
    path = written(lambda image: image[:-1] + b"R")
    code, out, err = tool("eif", path)
    assert (code, out) == (8, "")
    assert err.startswith("REJECTED eif.crc")
    assert "--ignore-crc" in err
    code, out, _ = tool("eif", path, "--ignore-crc")
    assert code == 0
    assert "warning      eif.crc" in out


def test_f1_an_image_with_other_flags_shows_their_names_and_no_pcr(tool, written):
    path = written(lambda image: with_crc(image[:6] + b"\x02\x40" + image[8:]))
    code, out, err = tool("eif", path)
    assert (code, out) == (8, "")
    assert err.startswith("REJECTED eif.flags: ")
    assert "0x0240 (PCIE, VIRTIO)" in err
    assert "PCR0" not in err
    for verb in (["kms-policy", "make", "--condition-only"], ["verify", "any.bin"]):
        code, out, err = tool(*verb, "--eif", path)
        assert (code, out) == (8, "")
        assert "eif.flags" in err


@pytest.mark.parametrize("limit", ["700", "1KiB", "1MiB", "20GiB", "2TiB"])
def test_f7_max_size_is_a_size_in_bytes_or_with_a_unit(tool, written, limit):
    path = written(ramdisks=[bytes(200)])
    size = path.stat().st_size
    code, out, err = tool("eif", path, "--max-size", limit)
    if limit == "700":
        assert (code, out) == (8, "")
        assert err.startswith("REJECTED eif.too_large: ")
        assert f"at most 700 bytes, found {size};" in err
        assert "hint: to measure a larger image, use --max-size" in err
    else:
        assert (code, err) == (0, "")


@pytest.mark.parametrize("limit", ["", "0", "-1", "1KB", "1.5GiB", "GiB", "16 GiB", "1e9", "٣"])
def test_f7_other_sizes_are_a_usage_error(tool, written, limit):
    for verb in (["eif"], ["pcr", "uki"]):
        code, out, err = tool(*verb, written(), "--max-size", limit)
        assert (code, out) == (2, "")
        assert "--max-size" in err


def test_f7_the_limit_applies_to_the_image_of_an_instance_too(tool):
    path = FIXTURES / "vectors/uki/synthetic.efi"
    code, out, err = tool("pcr", "uki", path, "--max-size", "100")
    assert (code, out) == (8, "")
    assert err.startswith("REJECTED pe.too_large: ")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda image: b"", "eif.magic"),
        (lambda image: b"{}" + image, "eif.magic"),
        (lambda image: image[:600], "eif.truncated"),
        (lambda image: with_crc(image + b"x"), "eif.trailing"),
    ],
)
def test_a_malformed_image_exits_8_and_shows_the_offset(tool, written, change, code):
    path = written(change, ramdisks=[b"r" * 100])
    found, out, err = tool("eif", path)
    assert (found, out) == (8, "")
    assert err.startswith(f"REJECTED {code}: ")
    assert "at byte" in err
    found, out, err = tool("eif", path, "--json")
    assert (found, err) == (8, "")
    assert json.loads(out)["error"]["code"] == code


@pytest.mark.parametrize(
    "arguments", [[], [""], ["no-such-file"], ["."], ["/dev/null"], ["a", "b"]]
)
def test_a_usage_error_exits_2_and_prints_no_result(tool, arguments):
    code, out, err = tool("eif", *arguments)
    assert (code, out) == (2, "")
    assert err


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self):
        return True


def test_f7_a_big_image_shows_progress_only_on_a_terminal(monkeypatch, tool, written):
    monkeypatch.setattr(image_module, "_SLOW_BYTES", 1 << 21)
    path = written(ramdisks=[b"r", bytes(3 << 20)])
    assert tool("eif", path)[2] == ""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "_SECONDS", 0)
    assert tool("eif", path)[0] == 0
    assert "measuring [--------------------] 0 %" in terminal.getvalue()
    assert "measuring [####################] 100 %" in terminal.getvalue()
    assert terminal.getvalue().rpartition("%")[2].replace(" ", "") == "\r\r"  # it is erased


def test_an_interrupt_ends_the_measurement_with_exit_code_130(monkeypatch, tool, written):
    class Interrupted(Terminal):
        def write(self, text):
            raise KeyboardInterrupt

    monkeypatch.setattr(image_module, "_SLOW_BYTES", 1 << 21)
    path = written(ramdisks=[b"r", bytes(3 << 20)])
    monkeypatch.setattr("sys.stderr", Interrupted())
    assert tool("eif", path)[:2] == (130, "")


def test_a_closed_stderr_shows_no_progress(monkeypatch, tool, written):
    monkeypatch.setattr("sys.stderr", None)
    assert tool("eif", written())[0] == 0


def test_a_small_image_shows_no_progress(monkeypatch, tool, written):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert tool("eif", written())[0] == 0
    assert terminal.getvalue() == ""
