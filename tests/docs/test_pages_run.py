"""The Python in the pages runs as it stands there, from top to bottom."""

import re
import time
from pathlib import Path

import pytest

from nitro_attest import Challenger, Policy, TrustedRoots, Verifier
from nitro_attest.testing import FakeNitro

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


def test_the_tutorial_as_far_as_it_needs_no_boto3():
    page = "tutorial/release-a-secret.md"
    names = run(page, {}, without_boto3(page))
    assert names["code"] == "policy.pcr_mismatch"


def test_the_whole_tutorial():
    pytest.importorskip("boto3", reason="boto3 is not installed: the part on KMS was not run")
    assert run("tutorial/release-a-secret.md", {})["code"] == "AccessDeniedException"


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


def test_the_page_on_shared_stores(tmp_path, fake):
    verifier = Verifier(TrustedRoots.from_pem(fake.root_pem), policy={5: bytes(48)})
    path = tmp_path / "challenges"
    names = run(
        "how-to/share-challenges.md", {"verifier": verifier, "path": path, "client": Redis()}
    )
    document = fake.document(nonce=names["challenge"].nonce)
    assert names["challenger"].answer(names["challenge"], document)
    store = names["RedisStore"](Redis())
    soon = time.time_ns() // 1_000_000 + 3_600_000
    assert store.add(b"key", soon)
    assert not store.add(b"key", soon)
    assert store.take(b"key") == soon
    assert store.take(b"key") is None
    assert not store.add(b"key", 1_700_000_000_000)
    assert Challenger(verifier, names["SqliteStore"](path))


def test_the_page_on_the_root(when, capsys):
    new = FakeNitro(seed=b"the next root")
    nonce = bytes(32)
    (root,) = TrustedRoots.from_pem(new.root_pem)
    names = {
        "new_root_pem": new.root_pem,
        "fingerprint_from_the_documentation": root.sha256,
        "policy": Policy([{5: bytes(48)}]),
        "document": new.document(nonce=nonce),
        "nonce": nonce,
    }
    run("how-to/rotate-the-root.md", names)
    assert capsys.readouterr().out == f"{root.name} {root.sha256}\n"


def test_links_between_the_pages_lead_somewhere():
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
