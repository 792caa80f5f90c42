"""Chains of an attacker; a verifier that trusts any certificate in the document accepts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from nitro_attest.testing.certificates import CertificateForm
from nitro_attest.testing.draft import Draft, Edit
from nitro_attest.testing.faults.chain import INSTANCE, LEAF, REGIONAL, ROOT, path
from nitro_attest.testing.pki import (
    authority_key,
    basic_constraints,
    key_usage,
    root_name,
    subject_key,
)
from vectors.case import Case
from vectors.table import Row
from vectors.table import cases as cases_of


def cases() -> Iterator[Case]:
    """All cases about chains that a stranger made, or made worse."""
    yield from cases_of(STRANGERS)
    yield from cases_of(NAMESAKES)
    yield from cases_of(CIRCLES)


def _ca(draft: Draft, label: str, subject: bytes, issuer: bytes, signer: str) -> CertificateForm:
    """A CA of the stranger's, with the keys of these labels."""
    key, signed_by = draft.ring.key(label), draft.ring.key(signer)
    return replace(
        draft.path[ROOT],
        subject=subject,
        issuer=issuer,
        key=key,
        signer=signed_by,
        serial=draft.ring.serial(label, 16),
        extensions=(
            basic_constraints(ca=True),
            key_usage("key_cert_sign"),
            subject_key(key.identifier),
            authority_key(signed_by.identifier),
        ),
    )


def _stranger(draft: Draft) -> CertificateForm:
    """A CA below a root that nobody sends: not self-signed, so no root store would take it."""
    subject = root_name("stranger.nitro-enclaves")
    return _ca(draft, "stranger's CA", subject, root_name("elsewhere"), "stranger's root")


def _leaf_of(draft: Draft, issuer: CertificateForm) -> CertificateForm:
    """The leaf with the stranger's key, issued by a CA of theirs."""
    key = draft.ring.key("stranger's leaf")
    return replace(draft.path[LEAF], key=key, issuer=issuer.subject, signer=issuer.key)


def _forged_below(position: int) -> Edit:
    """Puts the stranger's CA into the whole bundle, and a leaf of theirs below it."""

    def apply(draft: Draft) -> None:
        stranger = _stranger(draft)
        draft.path[LEAF] = _leaf_of(draft, stranger)
        draft.path.insert(position, stranger)

    return path(apply)


def _beside(position: int) -> Edit:
    """Puts the stranger's CA into the bundle of a genuine chain, where it issued nothing."""
    return path(lambda draft: draft.path.insert(position, _stranger(draft)))


PLACES: Final = (
    ("before-root", "before the root", 0, "chain.order"),
    ("after-root", "after the root", 1, "chain.name"),
    ("after-regional", "after the regional CA", 2, "chain.name"),
    ("after-zonal", "after the zonal CA", 3, "cert.path_length"),
    ("after-instance", "after the instance CA", 4, "cert.path_length"),
)
"""The places in the bundle for a further certificate, each with its error. Of the errors in a
bundle, the one closest to the root is reported: with five CAs, the path length of the regional one
is exceeded."""

STRANGERS: Final = (
    *(
        Row(
            f"X-4.stranger-{name}",
            f"A stranger's CA {where}, beside the whole chain, and a leaf that it issued.",
            _forged_below(position),
            code,
            ("X-3", "X-7"),
        )
        for name, where, position, code in PLACES
    ),
    *(
        Row(
            f"X-3.idle-stranger-{name}",
            f"A stranger's CA {where}, which issued nothing in the chain.",
            _beside(position),
            code,
            ("X-7",),
        )
        for name, where, position, code in PLACES
    ),
)


def _namesake(draft: Draft) -> CertificateForm:
    """A CA with every word of the instance CA, under the stranger's key and signature."""
    key = draft.ring.key("namesake")
    return replace(draft.path[INSTANCE], key=key, signer=draft.ring.key("stranger's root"))


def _leaf_of_namesake(draft: Draft) -> None:
    """The bundle is genuine; only the leaf is the stranger's."""
    draft.path[LEAF] = _leaf_of(draft, _namesake(draft))


def _namesake_instead(draft: Draft) -> None:
    namesake = _namesake(draft)
    draft.path[LEAF] = _leaf_of(draft, namesake)
    draft.path[INSTANCE] = namesake


def _namesake_after(draft: Draft) -> None:
    namesake = _namesake(draft)
    draft.path[LEAF] = _leaf_of(draft, namesake)
    draft.path.insert(LEAF, namesake)


def _self_signed(draft: Draft) -> CertificateForm:
    leaf, key = draft.path[LEAF], draft.ring.key("stranger's leaf")
    return replace(leaf, key=key, issuer=leaf.subject, signer=key)


def _self_signed_leaf(draft: Draft) -> None:
    draft.path[LEAF] = _self_signed(draft)


def _self_signed_leaf_below_root(draft: Draft) -> None:
    draft.path[REGIONAL:] = [_self_signed(draft)]


def _self_signed_leaf_of_the_root(draft: Draft) -> None:
    """The leaf has the name of the root, and so of its own issuer."""
    root, leaf = draft.path[ROOT], _self_signed(draft)
    draft.path[REGIONAL:] = [replace(leaf, subject=root.subject, issuer=root.subject)]


NAMESAKES: Final = (
    Row(
        "X-8.own-leaf-of-instance",
        "A leaf of the stranger's own key that names the genuine instance CA.",
        path(_leaf_of_namesake),
        "chain.signature",
    ),
    Row(
        "X-8.namesake-of-instance",
        "A stranger's copy of the instance CA in its place, and a leaf that it issued.",
        path(_namesake_instead),
        "chain.signature",
    ),
    Row(
        "X-4.namesake-after-instance",
        "A stranger's copy of the instance CA after the genuine one, and a leaf that it issued.",
        path(_namesake_after),
        "cert.path_length",
        ("X-3", "X-8"),
    ),
    Row(
        "X-7.self-signed-leaf",
        "A self-signed leaf below the whole chain.",
        path(_self_signed_leaf),
        "chain.name",
    ),
    Row(
        "X-7.self-signed-leaf-below-root",
        "A self-signed leaf with the root alone as its bundle.",
        path(_self_signed_leaf_below_root),
        "chain.name",
    ),
    Row(
        "X-8.self-signed-leaf-of-the-roots-name",
        "A self-signed leaf of the root's name with the root alone as its bundle.",
        path(_self_signed_leaf_of_the_root),
        "chain.signature",
    ),
)


def _circle(draft: Draft) -> tuple[CertificateForm, CertificateForm]:
    """Two CAs, each issued by the other one: neither is self-signed, and no walk upwards ends."""
    one, two = root_name("one.nitro-enclaves"), root_name("two.nitro-enclaves")
    return _ca(draft, "one", one, two, "two"), _ca(draft, "two", two, one, "one")


def _circle_alone(draft: Draft) -> None:
    pair = _circle(draft)
    draft.path = [*pair, _leaf_of(draft, pair[1])]


def _circle_below_root(draft: Draft) -> None:
    pair = _circle(draft)
    draft.path = [draft.path[ROOT], *pair, _leaf_of(draft, pair[1])]


def _circle_after_the_chain(draft: Draft) -> None:
    pair = _circle(draft)
    draft.path[LEAF:] = [*pair, _leaf_of(draft, pair[1])]


CIRCLES: Final = (
    Row(
        "X-4.circle",
        "Two CAs that issue each other, without a root.",
        path(_circle_alone),
        "chain.untrusted_root",
        ("X-5", "X-6"),
    ),
    Row(
        "X-4.circle-below-root",
        "Two CAs that issue each other, below a root that issued neither.",
        path(_circle_below_root),
        "chain.order",
        ("X-3", "X-6"),
    ),
    Row(
        "X-4.circle-after-the-chain",
        "Two CAs that issue each other, after the whole chain.",
        path(_circle_after_the_chain),
        "cert.path_length",
        ("X-3", "X-6"),
    ),
)
