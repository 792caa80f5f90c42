"""An AWS Lambda function that releases a secret to one enclave image, and to nobody else.

Routes of an HTTP API (payload format 2.0): ``POST /challenges`` returns a nonce, and ``POST
/challenges/{nonce}`` takes the raw document. The response is the secret, sealed to the X25519 key
in the document: whoever relays the messages cannot open it. README.md has the recipe.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import logging
import os
import re
import time
from typing import Any

from nitro_attest import (
    Challenger,
    InputError,
    NitroAttestError,
    Policy,
    Verifier,
    load_public_key,
    seal_to,
)
from nitro_attest.limits import MAX_DOCUMENT_BYTES

INFO = b"example release 1"  # the enclave passes the same to hpke_suite().decrypt()

log = logging.getLogger(__name__)


class DynamoStore:
    """Challenges in a DynamoDB table with the binary partition key ``nonce_hash``.

    All instances of the function share it. Each method is one conditional request, so of concurrent
    calls for one key at most one succeeds. ``remove_at`` may be the table's TTL attribute.
    """

    def __init__(self, table: Any) -> None:
        self._table = table

    def add(self, key: bytes, expires_ms: int) -> bool:
        """Remembers a key, unless the table has it already or it has expired."""
        item = {"nonce_hash": key, "expires_ms": expires_ms, "remove_at": expires_ms // 1000 + 3600}
        try:
            self._table.put_item(Item=item, ConditionExpression="attribute_not_exists(nonce_hash)")
        except self._table.meta.client.exceptions.ConditionalCheckFailedException:
            return False
        return expires_ms > _now_ms()

    def take(self, key: bytes) -> int | None:
        """Removes a key; returns its expiry, or None if the table does not have it any more."""
        answer = self._table.delete_item(Key={"nonce_hash": key}, ReturnValues="ALL_OLD")
        if "Attributes" not in answer:
            return None
        expires_ms = int(answer["Attributes"]["expires_ms"])
        return expires_ms if expires_ms > _now_ms() else None


class Service:
    """The two routes, around a challenger whose policy names the image."""

    def __init__(self, challenger: Challenger, secret: bytes) -> None:
        self._challenger = challenger
        self._secret = secret

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """Answers one request of API Gateway."""
        try:
            if event.get("routeKey") == "POST /challenges":
                return _json(201, nonce=self._challenger.issue().nonce.hex())
            if event.get("routeKey") == "POST /challenges/{nonce}":
                return self._release(event)
        except InputError as error:  # an error of this side: the client sees no details
            log.error("unavailable: %s", error)
            return _json(503, detail="unavailable")
        except NitroAttestError as error:
            log.warning("rejected: %s", error.code)
            return _json(403, detail=error.code)
        return _json(404, detail="route")

    def _release(self, event: dict[str, Any]) -> dict[str, Any]:
        nonce = event["pathParameters"]["nonce"]
        if not re.fullmatch("[0-9a-f]{64}", nonce):
            return _json(404, detail="nonce")
        document = _body(event)
        if document is None:
            return _json(413, detail="body")
        # The nonce only names the challenge: it must be outstanding, and this uses it up.
        attestation = self._challenger.answer(bytes.fromhex(nonce), document)
        sealed = seal_to(load_public_key(attestation, "x25519"), self._secret, info=INFO)
        log.info("released to %s", attestation.module_id)
        return {
            "statusCode": 200,
            "headers": {"content-type": "application/octet-stream"},
            "body": base64.b64encode(sealed).decode(),
            "isBase64Encoded": True,
        }


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one request; called by Lambda."""
    return _service().answer(event)


@functools.cache
def _service() -> Service:
    """Builds the service from PCR0, PCR1, PCR2, TABLE (a name) and SECRET_ID."""
    import boto3  # part of the runtime

    policy = Policy([{index: os.environ[f"PCR{index}"] for index in (0, 1, 2)}], require_nonce=True)
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["SECRET_ID"])
    challenger = Challenger(Verifier(policy=policy), DynamoStore(table))
    return Service(challenger, secret["SecretBinary"])


def _body(event: dict[str, Any]) -> bytes | None:
    """Decodes the body; None if it is not binary, or larger than any document."""
    text = event.get("body") or ""
    if not event.get("isBase64Encoded") or len(text) > MAX_DOCUMENT_BYTES * 2:
        return None
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return body if len(body) <= MAX_DOCUMENT_BYTES else None


def _json(status: int, **members: str) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(members)}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
