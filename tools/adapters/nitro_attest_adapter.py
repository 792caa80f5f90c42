"""Answers the requests of ``run_vectors.py --adapter`` with this library.

One JSON object per line on stdin, one per line on stdout: docs/reference/conformance.md.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from nitro_attest import (
    UNCHECKED,
    AnyEnclave,
    AnyInstance,
    NitroAttestError,
    NitroTpmPolicy,
    NitroTpmVerifier,
    Policy,
    RevocationLists,
    TrustedRoots,
    Verifier,
)
from nitro_attest.measurements import measure
from nitro_attest.policy_files import parse_nitrotpm_policy, parse_policy


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Judges one case.

    Args:
        request: ``id``; ``document`` (base64), ``root`` (PEM), ``time`` and ``policy``, with or
            without ``policy_file`` and ``revocation``; or ``image`` (base64), ``time`` and
            ``ignore_crc``.

    Returns:
        ``id`` and ``result``; ``code``, ``class`` and ``message`` of a refusal; ``warnings``, and
        ``measurements`` of an image or a policy file.
    """
    try:
        said = _measure(request) if "image" in request else _verify(request)
    except NitroAttestError as error:
        return {
            "id": request["id"],
            "result": "reject",
            "code": error.code,
            "class": type(error).__name__,
            "message": error.message,
        }
    return {"id": request["id"], "result": "accept"} | said


def _measure(request: Mapping[str, Any]) -> dict[str, Any]:
    time = request["time"]
    measured = measure(
        io.BytesIO(base64.b64decode(request["image"], validate=True)),
        ignore_crc=request["ignore_crc"],
        at=None if time is None else datetime.fromisoformat(f"{time[:-1]}+00:00"),
    )
    return {
        "warnings": [notice.code for notice in measured.warnings],
        "measurements": [_named(measured.measurements())],
    }


def _named(pcrs: Mapping[int, bytes]) -> dict[str, str]:
    return {str(index): value.hex() for index, value in pcrs.items()}


def _verify(request: Mapping[str, Any]) -> dict[str, Any]:
    asked, file = request["policy"], request.get("policy_file")
    policy = _policy(asked) if file is None else _policy_of(file, asked["kind"])
    kind = Verifier if asked["kind"] == "enclave" else NitroTpmVerifier
    verifier = kind(
        TrustedRoots.from_pem(request["root"]),
        policy=policy,
        clock_skew=timedelta(milliseconds=asked["clock_skew_ms"]),
        revocation=_lists(request.get("revocation")),
    )
    attestation = verifier.verify(
        base64.b64decode(request["document"], validate=True),
        nonce=_expected(asked["nonce"]),
        user_data=_expected(asked["user_data"]),
        public_key=_expected(asked["public_key"]),
        at=_time(request["time"]),
    )
    said = {"warnings": [notice.code for notice in attestation.warnings]}
    if isinstance(policy, (Policy, NitroTpmPolicy)):
        said["measurements"] = [_named(one.pcrs) for one in policy.measurements]
    return said


def _lists(asked: Mapping[str, Any] | None) -> RevocationLists | None:
    if asked is None:
        return None
    return RevocationLists(
        *(base64.b64decode(one, validate=True) for one in asked["lists"]),
        max_age=_duration(asked["max_age_ms"]),
    )


def _policy_of(file: Mapping[str, Any], kind: str) -> Policy | NitroTpmPolicy:
    content = base64.b64decode(file["base64"], validate=True)
    if kind == "nitrotpm":
        return parse_nitrotpm_policy(content)
    chosen = {name: file[name] for name in ("enclave_name", "pcr_index")}
    return parse_policy(content, **chosen).policy


def _policy(asked: Mapping[str, Any]) -> Policy | AnyEnclave | NitroTpmPolicy | AnyInstance:
    max_age = _duration(asked["max_age_ms"])
    pcrs = [{int(index): value for index, value in one.items()} for one in asked["pcrs"]]
    if asked["kind"] == "enclave":
        debug = asked["allow_debug"]
        if pcrs:
            return Policy(pcrs, max_age=max_age, allow_debug=debug)
        return AnyEnclave(max_age=max_age, allow_debug=debug, explicit=False)
    if pcrs:
        return NitroTpmPolicy(pcrs, max_age)
    return AnyInstance(max_age=max_age, explicit=False)


def _duration(milliseconds: int | None) -> timedelta | None:
    return None if milliseconds is None else timedelta(milliseconds=milliseconds)


def _expected(text: str | None) -> bytes:
    return UNCHECKED if text is None else bytes.fromhex(text)


def _time(text: str) -> datetime | Literal["document"]:
    # Python 3.10 reads no "Z".
    return "document" if text == "document" else datetime.fromisoformat(f"{text[:-1]}+00:00")


def main() -> None:
    """Answers until there are no more requests."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
