"""examples/fastapi and examples/flask: the same service, with a fake enclave as its client."""

import json
import logging
import runpy
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from nitro_attest import Challenger, MemoryStore, Policy, Verifier, hpke_suite
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from nitro_attest.testing import FakeNitro
from support.paths import EXAMPLES

PCRS = {index: bytes([7 + index]) * 48 for index in (0, 1, 2)}
KEY = X25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
SECRET = b"the secret of this test"


def fastapi_client(app):
    client = pytest.importorskip("fastapi.testclient", reason="fastapi is not installed")
    post = client.TestClient(app).post
    return lambda path, body=b"": answer_of(post(path, content=body), "content")


def flask_client(app):
    client = app.test_client()
    return lambda path, body=b"": answer_of(client.post(path, data=body), "data")


def answer_of(response, body):
    return SimpleNamespace(status=response.status_code, body=getattr(response, body))


CLIENTS = {"fastapi": fastapi_client, "flask": flask_client}


@pytest.fixture(params=CLIENTS)
def example(request):
    """The name of an example, and the names in its file."""
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    names = runpy.run_path(str(EXAMPLES / request.param / "service.py"), run_name="example")
    return SimpleNamespace(client=CLIENTS[request.param], **names)


@pytest.fixture
def start(example, roots):
    """Starts the service, with a store of the given size; returns ``post``."""

    def begin(capacity=100):
        verifier = Verifier(roots, policy=Policy([PCRS], require_nonce=True))
        challenger = Challenger(verifier, MemoryStore(capacity))
        return example.client(example.create_app(challenger, SECRET))

    return begin


@pytest.fixture
def post(start):
    return start()


def challenge(post):
    answer = post("/challenges")
    assert answer.status == 201
    return json.loads(answer.body)["nonce"]


def detail(answer):
    return answer.status, json.loads(answer.body)["detail"]


def document(fake, issued, /, **fields):
    """A document that answers a challenge, unless ``fields`` differ."""
    values = {"pcrs": PCRS, "public_key": PUBLIC, "nonce": bytes.fromhex(issued)}
    return fake.document(**values | fields)


def test_the_enclave_opens_the_secret(example, post, fake):
    nonce = challenge(post)
    answer = post(f"/challenges/{nonce}", document(fake, nonce))
    assert answer.status == 200
    assert SECRET not in answer.body
    suite = hpke_suite(KEY.public_key())
    assert suite.decrypt(answer.body, KEY, example.INFO) == SECRET


def test_a_challenge_is_answered_once(post, fake):
    nonce = challenge(post)
    answer = document(fake, nonce)
    assert post(f"/challenges/{nonce}", answer).status == 200
    assert detail(post(f"/challenges/{nonce}", answer)) == (403, "policy.nonce")


def test_of_simultaneous_answers_one_is_accepted(post, fake):
    nonce = challenge(post)
    answer = document(fake, nonce)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(f"/challenges/{nonce}", answer).status, range(8)))
    assert sorted(answers) == [200, *[403] * 7]


def test_a_rejected_document_does_not_use_up_the_challenge(post, fake):
    nonce = challenge(post)
    assert post(f"/challenges/{nonce}", b"garbage").status == 403
    assert post(f"/challenges/{nonce}", document(fake, nonce)).status == 200


def test_a_challenge_that_was_never_issued_is_rejected(post, fake):
    nonce = "ab" * 32
    assert detail(post(f"/challenges/{nonce}", document(fake, nonce))) == (403, "policy.nonce")


def test_a_document_for_another_challenge_is_rejected(post, fake):
    first, second = challenge(post), challenge(post)
    answer = document(fake, first)
    assert detail(post(f"/challenges/{second}", answer)) == (403, "policy.nonce")


def hours_ago(hours):
    return datetime.now(timezone.utc) - timedelta(hours=hours)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        *(({"pcrs": PCRS | {index: b"\1" * 48}}, "policy.pcr_mismatch") for index in PCRS),
        ({"pcrs": None, "debug": True}, "policy.debug"),
        ({"nonce": None}, "policy.nonce"),
        ({"public_key": None}, "policy.public_key"),
        ({"public_key": b"\x04" * 65}, "policy.public_key"),
        ({"at": hours_ago(4)}, "cert.expired"),
        ({"kind": "nitrotpm", "pcrs": None}, "payload.kind"),
    ],
)
def test_a_document_that_the_policy_rejects(post, fake, fields, code):
    nonce = challenge(post)
    assert detail(post(f"/challenges/{nonce}", document(fake, nonce, **fields))) == (403, code)


def test_a_document_under_another_root_is_rejected(post):
    nonce = challenge(post)
    answer = post(f"/challenges/{nonce}", document(FakeNitro(seed=b"forger"), nonce))
    assert detail(answer) == (403, "chain.untrusted_root")


@pytest.mark.parametrize("size", [MAX_DOCUMENT_BYTES + 1, 1 << 20])
def test_a_body_that_no_document_has_is_not_read(post, size):
    assert post(f"/challenges/{challenge(post)}", bytes(size)).status == 413


@pytest.mark.parametrize("body", [b"", b"{}", bytes(MAX_DOCUMENT_BYTES)])
def test_a_body_that_is_no_document_is_rejected(post, body):
    assert post(f"/challenges/{challenge(post)}", body).status == 403


@pytest.mark.parametrize("nonce", ["x", "AB" * 32, "ab" * 31, "ab" * 33, "zz" * 32])
def test_a_malformed_nonce_is_rejected(post, fake, nonce):
    assert post(f"/challenges/{nonce}", document(fake, "ab" * 32)).status in (404, 422)


def test_a_full_store_gives_no_challenge_and_no_details(start):
    post = start(capacity=1)
    challenge(post)
    assert detail(post("/challenges")) == (503, "unavailable")


def test_a_key_of_small_order_gets_nothing(post, fake):
    nonce = challenge(post)
    answer = post(f"/challenges/{nonce}", document(fake, nonce, public_key=bytes(32)))
    assert detail(answer) == (503, "unavailable")


def test_neither_the_log_nor_an_error_has_the_secret_or_expected_values(post, fake, caplog):
    caplog.set_level(logging.DEBUG)
    nonce = challenge(post)
    rejected = post(f"/challenges/{nonce}", document(fake, nonce, pcrs={0: b"\1" * 48}))
    assert post(f"/challenges/{nonce}", document(fake, nonce)).status == 200
    assert "released to" in caplog.text
    assert SECRET.decode() not in caplog.text
    for value in PCRS.values():
        assert value.hex() not in caplog.text + rejected.body.decode()


@pytest.fixture
def environment(monkeypatch, tmp_path):
    (tmp_path / "secret").write_bytes(SECRET)
    values = {f"PCR{index}": value.hex() for index, value in PCRS.items()}
    values |= {"CHALLENGES": str(tmp_path / "db"), "SECRET_FILE": str(tmp_path / "secret")}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def test_the_service_starts_from_its_environment(example, environment, fake):
    """It trusts the AWS root alone, so a fake document is rejected."""
    post = example.client(example.from_environment())
    nonce = challenge(post)
    answer = post(f"/challenges/{nonce}", document(fake, nonce))
    assert detail(answer) == (403, "chain.untrusted_root")


@pytest.mark.parametrize("missing", ["PCR0", "PCR1", "PCR2", "CHALLENGES", "SECRET_FILE"])
def test_no_service_without_all_of_its_environment(example, environment, monkeypatch, missing):
    monkeypatch.delenv(missing)
    with pytest.raises(KeyError, match=missing):
        example.from_environment()
