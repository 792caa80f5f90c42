"""Documents that are honest but for the certificates they carry, each signed by the named leaf."""

from nitro_attest.testing.draft import Options, change, finish

_PLAIN = {
    "pcrs": {},
    "debug": False,
    "kind": "enclave",
    "nonce": None,
    "user_data": None,
    "public_key": None,
    "absent": (),
    "indefinite": True,
    "tagged": False,
    "high_s": None,
}


def certificates_of(fake, at):
    """DER of the issuers, root first, and of the leaf, of a document made at this time."""
    *issuers, leaf = fake._pki.path(at, fake.module_id)
    return [form.der for form in issuers], leaf.der


def document(fake, at, *, cabundle=None, certificate=None):
    """A document of this enclave with these certificates in the place of its own."""
    honest = certificates_of(fake, at)
    values = {
        "cabundle": honest[0] if cabundle is None else cabundle,
        "certificate": honest[1] if certificate is None else certificate,
    }
    return finish(fake._draft(Options(at=at, **_PLAIN)), change("chain", **values))
