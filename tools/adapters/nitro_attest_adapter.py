"""Answers the questions of ``run_vectors.py --adapter`` with this library.

One JSON object per line on stdin, one per line on stdout: docs/reference/conformance.md.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from nitro_attest import (
    UNCHECKED,
    AnyEnclave,
    AnyInstance,
    Attestation,
    NitroAttestError,
    NitroTpmAttestation,
    NitroTpmPolicy,
    Policy,
    TrustedRoots,
    Verifier,
)


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Judges one case.

    Args:
        question: ``id``, ``document`` (base64), ``root`` (PEM), ``time`` and ``policy``.

    Returns:
        ``id`` and ``result``; ``code``, ``class`` and ``message`` of a refusal; ``warnings``.
    """
    try:
        attestation = _verify(question)
    except NitroAttestError as error:
        return {
            "id": question["id"],
            "result": "reject",
            "code": error.code,
            "class": type(error).__name__,
            "message": error.message,
        }
    warnings = [notice.code for notice in attestation.warnings]
    return {"id": question["id"], "result": "accept", "warnings": warnings}


def _verify(question: Mapping[str, Any]) -> Attestation | NitroTpmAttestation:
    asked = question["policy"]
    verifier = Verifier(
        TrustedRoots.from_pem(question["root"]),
        policy=_policy(asked),
        clock_skew=timedelta(milliseconds=asked["clock_skew_ms"]),
    )
    judge = verifier.verify if asked["kind"] == "enclave" else verifier.verify_nitrotpm
    return judge(
        base64.b64decode(question["document"], validate=True),
        nonce=_expected(asked["nonce"]),
        user_data=_expected(asked["user_data"]),
        public_key=_expected(asked["public_key"]),
        at=_time(question["time"]),
    )


def _policy(asked: Mapping[str, Any]) -> Policy | AnyEnclave | NitroTpmPolicy | AnyInstance:
    age = asked["max_age_ms"]
    max_age = None if age is None else timedelta(milliseconds=age)
    pcrs = [{int(index): value for index, value in one.items()} for one in asked["pcrs"]]
    if asked["kind"] == "enclave":
        debug = asked["allow_debug"]
        if pcrs:
            return Policy(pcrs, max_age=max_age, allow_debug=debug)
        return AnyEnclave(max_age=max_age, allow_debug=debug, spelled_out=False)
    if pcrs:
        return NitroTpmPolicy(pcrs, max_age)
    return AnyInstance(max_age=max_age, spelled_out=False)


def _expected(text: str | None) -> bytes:
    return UNCHECKED if text is None else bytes.fromhex(text)


def _time(text: str) -> datetime | Literal["document"]:
    # Python 3.10 reads no "Z".
    return "document" if text == "document" else datetime.fromisoformat(f"{text[:-1]}+00:00")


def main() -> None:
    """Answers until there are no more questions."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
