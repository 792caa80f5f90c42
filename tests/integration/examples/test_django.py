"""examples/django: the middleware before a view, with a fake enclave as its client."""

import json
import logging
import runpy
from base64 import b64encode
from types import SimpleNamespace

import pytest

from nitro_attest.limits import MAX_DOCUMENT_BYTES
from nitro_attest.testing import FakeNitro
from support.paths import EXAMPLES

django = pytest.importorskip("django", reason="django is not installed")
settings = pytest.importorskip("django.conf").settings
HttpResponse = pytest.importorskip("django.http").HttpResponse
RequestFactory = pytest.importorskip("django.test").RequestFactory
override_settings = pytest.importorskip("django.test").override_settings

PCRS = {index: bytes([7 + index]) * 48 for index in (0, 1, 2)}
CHALLENGES = "/attestation/challenges"
MAX_BODY = 1000


@pytest.fixture(scope="module", autouse=True)
def configured():
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["testserver"])
        django.setup()


@pytest.fixture
def example():
    path = EXAMPLES / "django" / "attested.py"
    return SimpleNamespace(**runpy.run_path(str(path), run_name="attested"))


@pytest.fixture
def call(example, roots, tmp_path):
    """Sends a request through the middleware; a view that is reached returns its module_id."""
    chosen = override_settings(
        ATTESTED_PCRS={index: value.hex() for index, value in PCRS.items()},
        ATTESTED_CHALLENGES=str(tmp_path / "challenges.db"),
        ATTESTED_ROOTS=roots,
        DATA_UPLOAD_MAX_MEMORY_SIZE=MAX_BODY,
    )
    with chosen:
        middleware = example.AttestationMiddleware(
            lambda request: HttpResponse(request.attestation.module_id)
        )
        requests = RequestFactory()

        def send(method, target, body=b"", **headers):
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            return middleware(
                requests.generic(method, target, body, "application/octet-stream", headers=headers)
            )

        yield send


def challenge(call):
    answer = call("POST", CHALLENGES)
    assert answer.status_code == 201
    return json.loads(answer.content)["nonce"]


@pytest.fixture
def headers(call, example, fake):
    """Makes the headers of an attested request."""

    def make(method, target, body=b"", nitro=fake, **fields):
        nonce = challenge(call)
        values = {
            "pcrs": PCRS,
            "nonce": bytes.fromhex(nonce),
            "user_data": example.request_digest(method, target, body),
        }
        document = b64encode(nitro.document(**values | fields)).decode()
        return {"Nitro_Challenge": nonce, "Nitro_Attestation": document}

    return make


def detail(answer):
    return answer.status_code, json.loads(answer.content)["detail"]


REQUESTS = [("GET", "/"), ("GET", "/a%20b?x=1&y=%C3%A4"), ("POST", "/transfer", b"100 to Alice")]


@pytest.mark.parametrize("request_", REQUESTS)
def test_an_attested_request_reaches_the_view(call, headers, request_):
    answer = call(*request_, **headers(*request_))
    assert answer.status_code == 200
    assert answer.content.startswith(b"i-")


@pytest.mark.parametrize(
    "other",
    [
        ("POST", "/transfer", b"100 to Mallory"),
        ("POST", "/transfer?x", b"100 to Alice"),
        ("POST", "/transfers", b"100 to Alice"),
        ("PUT", "/transfer", b"100 to Alice"),
        ("POST", "/transfer", b""),
    ],
)
def test_a_document_is_of_no_use_for_another_request(call, headers, other):
    answer = call(*other, **headers("POST", "/transfer", b"100 to Alice"))
    assert detail(answer) == (403, "policy.user_data")


def test_a_request_cannot_be_repeated(call, headers):
    attested = headers("GET", "/")
    assert call("GET", "/", **attested).status_code == 200
    assert detail(call("GET", "/", **attested)) == (403, "policy.nonce")


def test_a_request_with_another_nonce_is_rejected(call, headers):
    attested = headers("GET", "/") | {"Nitro_Challenge": challenge(call)}
    assert detail(call("GET", "/", **attested)) == (403, "policy.nonce")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("target", ["/", CHALLENGES + "/", CHALLENGES + "x", "/admin"])
def test_a_request_without_a_document_reaches_no_view(call, method, target):
    assert call(method, target).status_code == 401


def test_only_post_issues_a_challenge(call):
    assert call("GET", CHALLENGES).status_code == 401


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"Nitro_Challenge": ""}, "Nitro-Challenge"),
        ({"Nitro_Challenge": "ab" * 31}, "Nitro-Challenge"),
        ({"Nitro_Challenge": "AB" * 32}, "Nitro-Challenge"),
        ({"Nitro_Attestation": ""}, "Nitro-Attestation"),
        ({"Nitro_Attestation": "not base64!"}, "Nitro-Attestation"),
        ({"Nitro_Attestation": "\u00e4"}, "Nitro-Attestation"),
        ({"Nitro_Attestation": "A" * (MAX_DOCUMENT_BYTES * 2)}, "Nitro-Attestation"),
    ],
)
def test_a_malformed_header_is_rejected(call, headers, changed, name):
    assert detail(call("GET", "/", **headers("GET", "/") | changed)) == (401, name)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        *(({"pcrs": PCRS | {index: b"\1" * 48}}, "policy.pcr_mismatch") for index in PCRS),
        ({"pcrs": None, "debug": True}, "policy.debug"),
        ({"user_data": None}, "policy.user_data"),
        ({"nitro": FakeNitro(seed=b"forger")}, "chain.untrusted_root"),
    ],
)
def test_a_document_that_the_policy_rejects(call, headers, fields, code):
    assert detail(call("GET", "/", **headers("GET", "/", **fields))) == (403, code)


def test_a_body_above_the_limit_is_rejected(call, headers):
    attested = headers("POST", "/", b"")
    assert detail(call("POST", "/", bytes(MAX_BODY + 1), **attested)) == (413, "body")


def test_a_store_that_cannot_be_used_gives_no_details(call, tmp_path):
    (tmp_path / "challenges.db").unlink()
    assert detail(call("POST", CHALLENGES)) == (503, "unavailable")


def test_neither_the_log_nor_an_error_has_expected_values(call, headers, caplog):
    caplog.set_level(logging.DEBUG)
    answer = call("GET", "/", **headers("GET", "/", pcrs={0: b"\1" * 48}))
    for value in PCRS.values():
        assert value.hex() not in caplog.text + answer.content.decode()


@pytest.mark.parametrize("index", PCRS)
def test_no_middleware_without_each_pcr(example, index, tmp_path):
    pcrs = {other: value for other, value in PCRS.items() if other != index}
    chosen = override_settings(ATTESTED_PCRS=pcrs, ATTESTED_CHALLENGES=str(tmp_path / "db"))
    with chosen, pytest.raises(KeyError):
        example.AttestationMiddleware(HttpResponse)
