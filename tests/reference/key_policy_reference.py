"""An evaluator of key policies, written from AWS's documentation and not from the linter.

It asks every request of a finite universe: each principal and operation, without a document and
with each document that foreign code can have. Where the documentation leaves a result open, an
Allow applies and a Deny does not.

Sources: IAM User Guide, "Policy evaluation logic", "Condition operators", "Conditions with multiple
context keys or values", "Single-valued vs. multivalued context keys" and "Principal"; KMS Developer
Guide, "Key policies", "Condition keys for attested platforms" and "KMS permissions"; Nitro Enclaves
User Guide, "Where to get an enclave's measurements".
"""

import re
from itertools import product
from typing import NamedTuple

PREFIX = "kms:recipientattestation:"
ZERO, FRESH = "0" * 96, "f00d" * 24
ONE_RAMDISK = (
    "21b9efbc184807662e966d34f390821309eeac6802309798"
    "826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
)
NO_SECURE_BOOT = (
    "98441c7f7625d10058c47683aec486ce311c633235eb5555"
    "93a7ee791121e3578ae72d04ecef661f272d59058b77af35"
)

PRINCIPALS = (
    ("AWS", "arn:aws:iam::111122223333:role/enclaves"),
    ("AWS", "arn:aws:iam::111122223333:role/other"),
    ("AWS", "arn:aws:iam::444455556666:role/foreign"),
    ("Service", "ec2.amazonaws.com"),
    ("Federated", "accounts.example.com"),
)
# These four return plaintext, or encrypt it to the public key in the document.
PLAINTEXT = ("Decrypt", "DeriveSharedSecret", "GenerateDataKey", "GenerateDataKeyPair")
# A grant, another key policy, a replica or another key gives the plaintext without this policy.
AROUND = ("CreateGrant", "PutKeyPolicy", "ReplicateKey", "ReEncryptFrom", "ReEncryptTo")


class Request(NamedTuple):
    """One request; ``context`` has the attestation keys in lower case, and is empty without one."""

    principal: tuple
    action: str
    context: dict


def leaks(policy):
    """Requests for plaintext that are allowed without a document, or with one of foreign code."""
    contexts = [{}, *foreign_documents(policy)]
    for principal, action, context in product(PRINCIPALS, PLAINTEXT, contexts):
        request = Request(principal, f"kms:{action}", context)
        if is_allowed(policy, request, others_hold=True):
            yield request


def ways_around(policy):
    """Ways around the key policy that a statement allows without any condition."""
    for principal, action in product(PRINCIPALS, AROUND):
        request = Request(principal, f"kms:{action}", {})
        if is_allowed(policy, request, others_hold=False):
            yield request


def is_allowed(policy, request, *, others_hold):
    """An explicit Deny wins, then an Allow, and everything else is denied.

    ``others_hold`` is the result of an Allow's tests of keys that are not about attestation; such
    tests of a Deny never hold, because a caller may avoid them.
    """
    statements = policy["Statement"]
    effects = {item["Effect"] for item in statements if _applies(item, request, others_hold)}
    return effects == {"Allow"}


def _applies(statement, request, others_hold):
    return (
        _has_resource(statement)
        and _has_principal(statement, request.principal)
        and _has_action(statement, request.action)
        and all(
            _holds(statement["Effect"], operator, key, values, request.context, others_hold)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _has_resource(statement):
    """``*`` is this key. Without a Resource a statement has no effect."""
    return statement.get("Resource") in ("*", ["*"]) or statement["Effect"] == "Allow"


def _has_principal(statement, principal):
    wanted = statement.get("Principal", {})
    if wanted in ("*", ["*"]):
        return True
    return any(
        _is_principal(statement["Effect"], kind, name, principal)
        for kind, names in wanted.items()
        for name in ([names] if isinstance(names, str) else names)
    )


def _is_principal(effect, wanted_kind, wanted_name, principal):
    """An allowed account can allow its principals. ``*`` is documented for the kind AWS only."""
    kind, name = principal
    if wanted_kind != kind:
        return False
    if wanted_name == "*":
        return kind == "AWS" or effect == "Allow"
    account = name.split(":")[4] if kind == "AWS" else None
    accounts = (account, f"arn:aws:iam::{account}:root") if effect == "Allow" else ()
    return wanted_name in (name, *accounts)


def _has_action(statement, action):
    patterns = statement.get("Action", statement.get("NotAction"))
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(_like(item.lower(), action.lower()) for item in patterns) == ("Action" in statement)


def _like(pattern, text):
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _holds(effect, operator, key, values, context, others_hold):
    """One key of one operator; all of a Condition must hold."""
    key = key.lower()
    if not key.startswith(PREFIX.rstrip(":")):
        return effect == "Allow" and others_hold
    values = values if isinstance(values, list) else [values]
    found = context.get(key)
    if operator == "Null":
        return any(value == ("true" if found is None else "false") for value in values)
    quantifier, _, name = operator.rpartition(":")
    base = name.removesuffix("IfExists")
    if base not in _COMPARE:
        return effect == "Allow"
    negated = "Not" in base
    if found is None:
        return (
            base != name
            or quantifier == "ForAllValues"
            or (negated and quantifier != "ForAnyValue")
        )
    # The keys have one value, so both quantifiers compare that one. Lists are OR, or NOR.
    compare = _COMPARE[base]
    return any(compare(str(value), found) for value in values) != negated


def _equal(value, found):
    return value == found


def _equal_ignoring_case(value, found):
    return value.lower() == found.lower()


_COMPARE = {
    "StringEquals": _equal,
    "StringNotEquals": _equal,
    "StringEqualsIgnoreCase": _equal_ignoring_case,
    "StringNotEqualsIgnoreCase": _equal_ignoring_case,
    "StringLike": _like,
    "StringNotLike": _like,
}


def foreign_documents(policy):
    """Contexts of documents that are genuine, but not of code that the policy names.

    A value that the policy names for PCR0, PCR8, or a NitroTPM's PCR4 or PCR7 belongs to its
    author's code, so foreign code cannot have it, unless it is a value without any code.
    """
    named = _named(policy)
    for measured in _enclave_codes(named):
        yield from _contexts("pcr", measured, named)
    for boot, secure in product((FRESH, ZERO), (FRESH, ZERO, NO_SECURE_BOOT)):
        yield from _contexts("nitrotpmpcr", {4: boot, 7: secure}, named)


def _named(policy):
    """The values that the policy names for each register, in lower case, by its key."""
    named = {}
    for statement in policy["Statement"]:
        for keys in statement.get("Condition", {}).values():
            for key, values in keys.items():
                name = key.lower().removeprefix(PREFIX).replace("imagesha384", "pcr0")
                values = values if isinstance(values, list) else [values]
                named.setdefault(name, set()).update(str(value).lower() for value in values)
    return named


def _enclave_codes(named):
    """Measurements of foreign images: debug mode, and an image that shares one part at most."""
    yield {0: ZERO, 1: ZERO, 2: ZERO, 8: ZERO}
    kernels = sorted(named.get("pcr1", ()))
    ramdisks = sorted({ONE_RAMDISK, *named.get("pcr2", ())})
    parts = [(kernel, FRESH) for kernel in kernels] + [(FRESH, item) for item in ramdisks]
    for (kernel, ramdisk), signer in product([*parts, (FRESH, FRESH)], (ZERO, FRESH)):
        yield {0: FRESH, 1: kernel, 2: ramdisk, 8: signer}


def _contexts(prefix, measured, named):
    """Each register that code cannot be identified by may have any value that the policy names."""
    free = [
        name
        for name in sorted(named)
        if re.fullmatch(prefix + "[0-9]+", name) and int(name[len(prefix) :]) not in measured
    ]
    fixed = {f"{prefix}{index}": value for index, value in measured.items()}
    for values in product(*([*sorted(named[name]), FRESH, ZERO, None] for name in free)):
        registers = fixed | {
            name: value for name, value in zip(free, values, strict=True) if value is not None
        }
        if "pcr0" in registers:
            registers["imagesha384"] = registers["pcr0"]
        yield {PREFIX + name: value for name, value in registers.items()}
