"""Writes reports for check_reports.mjs: python make_reports.py FOLDER."""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from nitro_attest import (
    ANY_ENCLAVE,
    NitroAttestError,
    NitroTpmPolicy,
    NitroTpmVerifier,
    Policy,
    Request,
    RevocationLists,
    TrustedRoots,
    Verifier,
    parse_unverified,
)
from nitro_attest.report import Report
from nitro_attest.testing import FakeNitro

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
NONCE = bytes(range(32))
HOSTILE = b"</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def report(document, policy, roots, revocation=None, at=AT, **call):
    kind = NitroTpmVerifier if isinstance(policy, NitroTpmPolicy) else Verifier
    verifier = kind(roots, policy=policy, revocation=revocation)
    try:
        result = verifier.verify(document, at=at, **call)
    except NitroAttestError as error:
        result = error
    request = Request(document, at=at, **call)
    return Report.of(result, request, policy=policy, revocation=revocation, source="<b>doc</b>.bin")


def reports():
    fake = FakeNitro(seed=b"browser")
    roots = fake.root_pem
    document = fake.document(at=AT - timedelta(seconds=20), nonce=NONCE, user_data=HOSTILE)
    instance = fake.document(at=AT, kind="nitrotpm", nonce=NONCE)
    pcrs, registers = parse_unverified(document).pcrs, parse_unverified(instance).pcrs
    pinned = Policy([{index: pcrs[index] for index in (0, 1, 2)}])
    lists = RevocationLists(*(fake.revocation_list(i, at=AT) for i in ("root", "regional")))
    two = Policy([{0: "ab" * 48, 1: pcrs[1]}, {0: pcrs[0], 2: "cd" * 48}])
    of_instance = NitroTpmPolicy([{4: registers[4], 12: bytes(48)}])
    return {
        "accepted": report(document, pinned, roots, lists, nonce=NONCE),
        "archived": report(document, ANY_ENCLAVE, roots, at="document"),
        "requirement": report(document, two, roots, nonce=bytes(32)),
        "chain": report(document, pinned, TrustedRoots.AWS),
        "expired": report(document, pinned, roots, at=AT + timedelta(days=400)),
        "syntax": report(document[:2000] + b"\xff" + document[2000:], pinned, roots),
        "instance": report(instance, of_instance, roots, nonce=NONCE),
    }


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in reports().items():
        (folder / f"{name}.html").write_text(each.to_html(), encoding="utf-8")


if __name__ == "__main__":
    main()
