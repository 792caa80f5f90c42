"""The Python in the pages runs as it stands there, from top to bottom."""

import json
import re
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest import Challenger, TrustedRoots, Verifier, hpke_suite
from nitro_attest.channel import bindings
from nitro_attest.measurements import measure
from nitro_attest.provenance import PREDICATE_TYPE, SignerKey
from support import sigstore_instance
from support.bindings import peer_with
from support.paths import FIXTURES
from support.statements import KEY, compact, pem_of, signed, statement

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)


def run(page, names, count=None):
    for number, block in enumerate(blocks(page)[:count], 1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    return names


def without_boto3(page):
    """How many blocks stand before the one that imports boto3."""
    return next(n for n, block in enumerate(blocks(page)) if "import boto3" in block)


def run_alone(page, folder, count=None, then=""):
    """Runs the blocks, and ``then``, as one program, as a reader does: it prints nothing."""
    program = folder / "program.py"
    program.write_text("\n".join([*blocks(page)[:count], then]))
    command = [sys.executable, "-W", "error::ResourceWarning", program]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_tutorial_as_far_as_it_needs_no_boto3(tmp_path):
    page = "tutorial/release-a-secret.md"
    then = 'assert code == "policy.pcr_mismatch"'
    run_alone(page, tmp_path, without_boto3(page), then)


def test_the_whole_tutorial(tmp_path):
    pytest.importorskip("boto3", reason="boto3 is not installed: the part on KMS was not run")
    run_alone(
        "tutorial/release-a-secret.md", tmp_path, then='assert code.startswith("AccessDenied")'
    )


def test_auditing_an_archive_in_python():
    pytest.importorskip("pyarrow")
    names = run("how-to/audit-an-archive.md", {}, count=1)
    assert names["codes"] == [None, "policy.pcr_mismatch", "input.document"]


def test_the_tutorial_on_channels(tmp_path):
    pytest.importorskip("nitro_attest.enclave.tls", exc_type=ImportError)
    then = (
        'assert code == "policy.pcr_mismatch"\n'
        'assert received == [b"the secret", b"another", b"a third", b"fourth"]\n'
    )
    run_alone("tutorial/attested-channel.md", tmp_path, then=then)


def test_the_tutorial_on_channels_ends_if_its_first_client_is_missing(tmp_path):
    page = "tutorial/attested-channel.md"
    first = next(n for n, block in enumerate(blocks(page)) if "import httpx" in block)
    run_alone(page, tmp_path, first)


class Redis:
    """As much of Redis as the page uses, with its semantics of expiry."""

    def __init__(self):
        self.held = {}

    def time(self):
        return divmod(time.time_ns() // 1000, 1_000_000)

    def set(self, key, value, nx, pxat):
        assert nx
        self._expire()
        if key in self.held:
            return None
        self.held[key] = (str(value).encode(), pxat)
        self._expire()
        return True

    def getdel(self, key):
        self._expire()
        return self.held.pop(key, (None, None))[0]

    def _expire(self):
        now = time.time_ns() // 1_000_000
        self.held = {key: held for key, held in self.held.items() if held[1] > now}


@pytest.fixture
def desk(tool, tmp_path, monkeypatch):
    """The folder of ``nitro-attest demo``, and the environment that the pages set with it."""
    folder = tmp_path / "desk"
    assert tool("demo", folder)[0] == 0
    for line in (folder / "variables.sh").read_text().splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


def test_the_page_on_shared_stores(tmp_path, fake, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "redis", SimpleNamespace(Redis=Redis))
    names = run("how-to/share-challenges.md", {})
    verifier = Verifier(fake.root_pem, policy={5: bytes(48)})
    for store in (names["RedisStore"](Redis()), names["SqliteStore"]("challenges.db")):
        challenger = Challenger(verifier, store)
        challenge = challenger.issue()
        assert challenger.answer(challenge, fake.document(nonce=challenge.nonce))
    store = names["RedisStore"](Redis())
    soon = time.time_ns() // 1_000_000 + 3_600_000
    assert store.add(b"key", soon)
    assert not store.add(b"key", soon)
    assert store.take(b"key") == soon
    assert store.take(b"key") is None
    assert not store.add(b"key", 1_700_000_000_000)


def test_the_page_on_the_root(desk, capsys):
    run("how-to/rotate-the-root.md", {})
    (root,) = TrustedRoots.from_pem((desk / "next-root.pem").read_bytes())
    assert capsys.readouterr().out == f"{root.name} {root.sha256}\n"


def test_the_page_on_revocation(desk, capsys):
    run("how-to/check-revocation.md", {})
    assert capsys.readouterr().out.count("revocation list 1 of ") == 2


def test_the_page_on_pipelines(fake, tmp_path, monkeypatch, capsys):
    pytest.importorskip("sigstore", reason="the extra provenance is not installed")
    monkeypatch.chdir(tmp_path)
    app = FIXTURES / "vectors/eif/synthetic.eif"
    shutil.copy(app, "app.eif")
    Path("builder.pem").write_bytes(pem_of(KEY))
    Path("trusted_root.json").write_text(sigstore_instance.trusted_root())
    Path("app.sigstore.json").write_text(compact(sigstore_instance.bundle()))
    other = statement(
        of={"registers": [value.hex() for value in measure(app).measurements().values()]},
        predicateType="https://other.example/measurements/v1",
    )
    history = {"v1": {f"PCR{index}": "ab" * 48 for index in range(3)}}
    nonce = bytes(32)
    names = {
        "key": KEY,
        "roots": fake.root_pem,
        "document": fake.document(nonce=nonce, pcrs=measure(app).measurements()),
        "nonce": nonce,
        "sigstore_root": "trusted_root.json",
        "their_statement": signed(other),
        "their_key": SignerKey(pem_of(KEY)),
        "verified_manifest": compact(
            {"annotations": {f"pcr{index}": "ab" * 48 for index in range(3)}}
        ),
        "verified_history": compact(history),
    }
    run("how-to/only-what-our-pipeline-built.md", names)
    assert capsys.readouterr().out.splitlines() == [
        f"image signed by the key of SHA-256 {SignerKey(pem_of(KEY)).signer.key_sha256}",
        f"built by https://github.com/acme/enclave at commit {sigstore_instance.COMMIT}",
        measure(app).pcr0.hex(),
    ]


def test_the_workflow_on_the_page_states_our_type():
    page = (DOCS / "how-to/only-what-our-pipeline-built.md").read_text()
    assert f"predicate-type: {PREDICATE_TYPE}\n" in page


class Deployed:
    """Enclaves of every product behind one server, with the documents that they would send."""

    def __init__(self, fake):
        self.fake = fake
        self.pcrs = {index: bytes([index + 1]) * 48 for index in range(4)}
        self.tls = peer_with(ec.generate_private_key(ec.SECP256R1()).public_key())
        self.signing = ed25519.Ed25519PrivateKey.generate()

    def document(self, **fields):
        return self.fake.document(pcrs=self.pcrs, **fields)

    def get(self, target):
        """Answers a request as the product with this path does."""
        path, _, nonce = target.partition("?nonce=")
        if path == "/enclave/attestation":
            digest = sha256(self.tls.certificate).digest()
            user_data = b"\x12\x20" + digest + b"\x12\x20" + bytes(32)
            document = self.document(nonce=bytes.fromhex(nonce), user_data=user_data)
            return b64encode(document) + b"\n"
        if path == "/.well-known/attestation":
            document = self.document(nonce=bytes(256), user_data=self.tls.public_key)
            return json.dumps({"attestation_doc": b64encode(document).decode()}).encode()
        assert path == "/get_attestation"
        document = self.document(public_key=self.signing.public_key().public_bytes_raw())
        return json.dumps({"attestation": document.hex()}).encode()


def point(key):
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def turnkey(deployed):
    """A manifest, and a boot proof and an app proof in the form of Turnkey."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    manifest = b"".join(b"\x30\x00\x00\x00" + value for value in deployed.pcrs.values())
    document = deployed.document(
        at=datetime.now(timezone.utc) - timedelta(days=1),
        public_key=b"".join(map(point, keys)),
        user_data=sha256(manifest).digest(),
    )
    payload = '{"type":"statement"}'
    integers = decode_dss_signature(keys[1].sign(payload.encode(), ec.ECDSA(SHA256())))
    signature = b"".join(number.to_bytes(32, "big") for number in integers)
    return {
        "reviewed_manifest": manifest,
        "boot_proof": {"awsAttestationDocB64": b64encode(document).decode()},
        "app_proof": {"proofPayload": payload, "signature": signature.hex()},
    }


def test_the_page_on_deployed_enclaves(fake):
    deployed = Deployed(fake)
    oyster = x25519.X25519PrivateKey.generate()
    ethereum = ec.generate_private_key(ec.SECP256K1())
    pcrs = deployed.pcrs
    names = {
        "roots": fake.root_pem,
        **{f"pcr{index}": pcrs[index] for index in range(3)},
        "get": deployed.get,
        "certificate": deployed.tls.certificate,
        "oyster_document": deployed.document(public_key=oyster.public_key().public_bytes_raw()),
        "signed_bytes": b"answer",
        "signature": deployed.signing.sign(b"answer"),
        "report_data": bytes(range(64)),
        "dstack_document": deployed.document(user_data=bytes(range(64))),
        "ethereum_document": deployed.document(public_key=point(ethereum)),
        **turnkey(deployed),
    }
    names = run("how-to/verify-deployed-enclaves.md", names)
    assert names["bound"].public_key == deployed.tls.public_key
    assert names["application_digest"] is None
    suite = hpke_suite(oyster.public_key())
    assert suite.decrypt(names["sealed"], oyster, b"example v1") == b"secret"
    assert names["os_image_hash"] == sha256(pcrs[0] + pcrs[1] + pcrs[2]).hexdigest()
    assert names["enclave_key"].key == ethereum.public_key()


def test_the_page_on_deployed_enclaves_has_a_section_for_each_binding():
    page = (DOCS / "how-to/verify-deployed-enclaves.md").read_text()
    for name, value in vars(bindings).items():
        if hasattr(value, "check") and name != "Binding":
            assert f"`{name}`" in page, name


def test_links_between_the_pages_lead_somewhere():
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
