"""examples/aws_lambda: the handler with a fake enclave, and a fake table in place of DynamoDB."""

import json
import logging
import re
import runpy
import sys
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from threading import Lock
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from nitro_attest import Challenger, Policy, Verifier, hpke_suite
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from support.paths import EXAMPLES

FOLDER = EXAMPLES / "aws_lambda"
PCRS = {index: bytes([7 + index]) * 48 for index in (0, 1, 2)}
KEY = X25519PrivateKey.generate()
SECRET = b"the secret of this test"
UNZIPPED_LIMIT = 262_144_000
"""250 MB, as Lambda counts them: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


class ConditionalCheckFailedError(Exception):
    pass


class Table:
    """As much of a table of boto3 as the example uses."""

    def __init__(self):
        exceptions = SimpleNamespace(ConditionalCheckFailedException=ConditionalCheckFailedError)
        self.meta = SimpleNamespace(client=SimpleNamespace(exceptions=exceptions))
        self.items = {}
        self._lock = Lock()

    def put_item(self, *, Item, ConditionExpression):  # noqa: N803
        assert ConditionExpression == "attribute_not_exists(nonce_hash)"
        with self._lock:
            if Item["nonce_hash"] in self.items:
                raise ConditionalCheckFailedError
            self.items[Item["nonce_hash"]] = Item

    def delete_item(self, *, Key, ReturnValues):  # noqa: N803
        assert ReturnValues == "ALL_OLD"
        with self._lock:
            item = self.items.pop(Key["nonce_hash"], None)
        return {} if item is None else {"Attributes": item}


@pytest.fixture
def example():
    return SimpleNamespace(**runpy.run_path(str(FOLDER / "function.py"), run_name="function"))


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def service(example, table, roots):
    verifier = Verifier(roots, policy=Policy([PCRS], require_nonce=True))
    return example.Service(Challenger(verifier, example.DynamoStore(table)), SECRET)


def challenge(service):
    answer = service.answer({"routeKey": "POST /challenges"})
    assert answer["statusCode"] == 201
    return json.loads(answer["body"])["nonce"]


def answered(service, nonce, document):
    return service.answer(
        {
            "routeKey": "POST /challenges/{nonce}",
            "pathParameters": {"nonce": nonce},
            "body": b64encode(document).decode(),
            "isBase64Encoded": True,
        }
    )


def detail(answer):
    return answer["statusCode"], json.loads(answer["body"])["detail"]


def document(fake, issued, /, **fields):
    values = {
        "pcrs": PCRS,
        "public_key": KEY.public_key().public_bytes_raw(),
        "nonce": bytes.fromhex(issued),
    }
    return fake.document(**values | fields)


def test_the_enclave_opens_the_secret(example, service, fake):
    nonce = challenge(service)
    answer = answered(service, nonce, document(fake, nonce))
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
    sealed = b64decode(answer["body"])
    assert SECRET not in sealed
    assert hpke_suite(KEY.public_key()).decrypt(sealed, KEY, example.INFO) == SECRET


def test_a_challenge_is_answered_once(service, fake):
    nonce = challenge(service)
    answer = document(fake, nonce)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: answered(service, nonce, answer), range(8)))
    assert sorted(item["statusCode"] for item in answers) == [200, *[403] * 7]


def test_an_expired_challenge_is_rejected(service, table, fake):
    nonce = challenge(service)
    (item,) = table.items.values()
    item["expires_ms"] = 1
    assert detail(answered(service, nonce, document(fake, nonce))) == (403, "policy.nonce")


def test_the_store_adds_a_key_once_and_only_before_it_expires(example, table):
    store = example.DynamoStore(table)
    assert [store.add(b"k" * 32, 1 << 45) for _ in range(2)] == [True, False]
    assert store.add(b"x" * 32, 1) is False
    assert store.take(b"k" * 32) == 1 << 45
    assert store.take(b"k" * 32) is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        *(({"pcrs": PCRS | {index: b"\1" * 48}}, "policy.pcr_mismatch") for index in PCRS),
        ({"pcrs": None, "debug": True}, "policy.debug"),
        ({"nonce": None}, "policy.nonce"),
        ({"public_key": None}, "policy.public_key"),
    ],
)
def test_a_document_that_the_policy_rejects(service, fake, fields, code):
    nonce = challenge(service)
    assert detail(answered(service, nonce, document(fake, nonce, **fields))) == (403, code)


@pytest.mark.parametrize("route", ["GET /challenges", "$default", None])
def test_other_routes_are_not_found(service, route):
    assert detail(service.answer({"routeKey": route})) == (404, "route")


@pytest.mark.parametrize("nonce", ["", "AB" * 32, "ab" * 31, "zz" * 32])
def test_a_malformed_nonce_is_rejected(service, nonce):
    assert detail(answered(service, nonce, b"")) == (404, "nonce")


@pytest.mark.parametrize(
    "changed",
    [
        {"body": b64encode(bytes(MAX_DOCUMENT_BYTES + 1)).decode()},
        {"body": "A" * (1 << 20)},
        {"body": "not base64!"},
        {"body": "\u00e4"},
        {"isBase64Encoded": False},
    ],
)
def test_a_body_that_no_document_has_is_rejected(service, changed):
    event = {
        "routeKey": "POST /challenges/{nonce}",
        "pathParameters": {"nonce": challenge(service)},
        "body": "",
        "isBase64Encoded": True,
    }
    assert detail(service.answer(event | changed)) == (413, "body")


@pytest.mark.parametrize("body", [b"", b"{}", bytes(MAX_DOCUMENT_BYTES)])
def test_a_body_that_is_no_document_is_rejected(service, body):
    assert answered(service, challenge(service), body)["statusCode"] == 403


def test_neither_the_log_nor_an_error_has_the_secret_or_expected_values(service, fake, caplog):
    caplog.set_level(logging.DEBUG)
    nonce = challenge(service)
    rejected = answered(service, nonce, document(fake, nonce, pcrs={0: b"\1" * 48}))
    assert answered(service, nonce, document(fake, nonce))["statusCode"] == 200
    assert SECRET.decode() not in caplog.text
    for value in PCRS.values():
        assert value.hex() not in caplog.text + rejected["body"]


@pytest.fixture
def aws(monkeypatch, table):
    """A module boto3 with this table and this secret, and the variables of the function."""
    secrets = SimpleNamespace(get_secret_value=lambda SecretId: {"SecretBinary": SECRET})  # noqa: N803
    boto3 = SimpleNamespace(
        resource=lambda name: SimpleNamespace(Table=lambda name: table),
        client=lambda name: secrets,
    )
    monkeypatch.setitem(sys.modules, "boto3", boto3)
    values = {f"PCR{index}": value.hex() for index, value in PCRS.items()}
    for name, value in (values | {"TABLE": "challenges", "SECRET_ID": "example"}).items():
        monkeypatch.setenv(name, value)


def test_the_handler_starts_from_its_environment(example, aws, fake):
    """It trusts the AWS root alone, so a fake document is rejected."""
    service = SimpleNamespace(answer=lambda event: example.handler(event, None))
    nonce = challenge(service)
    answer = answered(service, nonce, document(fake, nonce))
    assert detail(answer) == (403, "chain.untrusted_root")


@pytest.mark.parametrize("missing", ["PCR0", "PCR1", "PCR2", "TABLE", "SECRET_ID"])
def test_no_handler_without_all_of_its_environment(example, aws, monkeypatch, missing):
    monkeypatch.delenv(missing)
    with pytest.raises(KeyError, match=missing):
        example.handler({"routeKey": "POST /challenges"}, None)


def closure(name, seen):
    """The installed distributions that a distribution needs, itself included."""
    try:
        requirements = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # needed on another system or Python
        return seen
    if name not in seen:
        seen.add(name)
        for requirement in requirements:
            if "extra ==" not in requirement:
                closure(re.match(r"[\w.-]+", requirement)[0].lower(), seen)
    return seen


def test_the_layer_is_far_below_the_limit():
    names = closure("nitro-attest", set()) - {"nitro-attest"}
    assert names >= {"cryptography", "cffi", "cbor2", "click", "pycparser"}
    sizes = [
        file.locate().stat().st_size
        for name in names
        for file in metadata.files(name) or []
        if file.suffix != ".pyc" and file.locate().is_file()
    ]
    assert 0 < sum(sizes) < UNZIPPED_LIMIT / 4


def test_the_sizes_of_the_layer_are_given_with_the_limit():
    text = (FOLDER / "README.md").read_text()
    zipped, unzipped, limit = (
        int(number.replace(",", "")) for number in re.findall(r"\| (\d+(?:,\d{3})+)", text)
    )
    assert zipped < unzipped < limit == UNZIPPED_LIMIT
