"""The identity: its key, certificate and documents, and TLS with it in memory."""

from __future__ import annotations

import pickle
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest import ANY_ENCLAVE, TrustedRoots, Verifier
from nitro_attest.enclave import tls
from nitro_attest.enclave.tls import AttestedIdentity
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.testing import FakeNitro

NONCE = bytes(range(32))


class FakeNsm:
    def __init__(self, nitro: FakeNitro) -> None:
        self._nitro = nitro

    def attest(self, **fields: bytes | None) -> bytes:
        return self._nitro.document(**fields)


@pytest.fixture
def identity(fake: FakeNitro) -> AttestedIdentity:
    return AttestedIdentity.create(FakeNsm(fake))


def client_context(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def connect(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Returns the client's and the server's side of a connection after the handshake."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(down, up, session=session), server.wrap_bio(up, down, server_side=True)
    complete: set[ssl.SSLObject] = set()
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
                complete.add(end)
            except ssl.SSLWantReadError:
                pass
    assert len(complete) == 2
    return ends


def test_documents_name_the_key_of_the_certificate(
    identity: AttestedIdentity, fake: FakeNitro
) -> None:
    verifier = Verifier(TrustedRoots.from_pem(fake.root_pem), policy=ANY_ENCLAVE)
    attestation = verifier.verify(identity.document(NONCE), nonce=NONCE)
    key = x509.load_der_x509_certificate(identity.certificate).public_key()
    assert attestation.public_key == identity.public_key
    assert identity.public_key == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert attestation.user_data is None


def test_user_data_is_in_every_document(fake: FakeNitro) -> None:
    identity = AttestedIdentity.create(FakeNsm(fake), user_data=b"v1")
    verifier = Verifier(TrustedRoots.from_pem(fake.root_pem), policy=ANY_ENCLAVE)
    assert verifier.verify(identity.document(NONCE), nonce=NONCE).user_data == b"v1"


def test_user_data_that_is_not_bytes_is_rejected(fake: FakeNitro) -> None:
    with pytest.raises(InputError) as caught:
        AttestedIdentity.create(FakeNsm(fake), user_data="v1")  # type: ignore[arg-type]
    assert caught.value.code == "input.nsm"


@pytest.mark.parametrize("nonce", [b"", bytes(31), bytes(33), "00" * 16, None])
def test_a_nonce_has_32_bytes(identity: AttestedIdentity, nonce: object) -> None:
    with pytest.raises(InputError) as caught:
        identity.document(nonce)  # type: ignore[arg-type]
    assert caught.value.code == "input.nonce"


def test_an_error_of_the_nsm_is_raised() -> None:
    class FailingNsm:
        def attest(self, **fields: bytes | None) -> bytes:
            raise EnclaveError("nsm.timeout", "no answer")

    with pytest.raises(EnclaveError, match=r"nsm\.timeout"):
        AttestedIdentity.create(FailingNsm()).document(NONCE)


def test_each_identity_has_its_own_p_256_key(fake: FakeNitro) -> None:
    one, other = (AttestedIdentity.create(FakeNsm(fake)) for _ in range(2))
    assert one.public_key != other.public_key
    certificate = x509.load_der_x509_certificate(one.certificate)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    certificate.verify_directly_issued_by(certificate)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_handshake_proves_the_key(identity: AttestedIdentity, version: ssl.TLSVersion) -> None:
    client, _ = connect(identity.ssl_context(), client_context(version))
    assert client.getpeercert(binary_form=True) == identity.certificate
    assert client.cipher() is not None
    assert "GCM" in client.cipher()[0] or "CHACHA20" in client.cipher()[0]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_older_versions_of_tls_are_rejected(identity: AttestedIdentity) -> None:
    old = client_context(ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
        connect(identity.ssl_context(), old)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(identity: AttestedIdentity, version: ssl.TLSVersion) -> None:
    server, context = identity.ssl_context(), client_context(version)
    first, _ = connect(server, context)
    with pytest.raises(ssl.SSLWantReadError):
        first.read(1)  # a server of TLS 1.3 sends tickets after the handshake
    session = first.session
    assert session is None or not session.has_ticket
    again, accepted = connect(server, context, session)
    assert not again.session_reused
    assert not accepted.session_reused


def test_a_plain_context_would_resume(identity: AttestedIdentity) -> None:
    """The reason for a context for each connection; fails once the ssl module has a switch."""
    context = client_context(ssl.TLSVersion.TLSv1_2)
    plain = identity._loaded_context()
    first, _ = connect(plain, context)
    again, _ = connect(plain, context, first.session)
    assert again.session_reused


def test_only_http_1_1_is_negotiated(identity: AttestedIdentity) -> None:
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    client, _ = connect(identity.ssl_context(), context)
    assert client.selected_alpn_protocol() == "http/1.1"
    context.set_alpn_protocols(["h2"])
    client, _ = connect(identity.ssl_context(), context)
    assert client.selected_alpn_protocol() is None


def test_renegotiation_is_off(identity: AttestedIdentity) -> None:
    for context in (identity.ssl_context(), identity._loaded_context()):
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_TICKET
        assert context.num_tickets == 0
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def descriptors() -> set[str]:
    return {path.name for path in Path("/dev/fd").iterdir()}


def test_the_file_of_the_key_leaves_nothing_behind(
    identity: AttestedIdentity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = descriptors()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    connect(identity.ssl_context(), client_context())
    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


def test_a_temporary_file_of_its_owner_serves_without_proc(
    identity: AttestedIdentity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(tls, "_DESCRIPTORS", tmp_path / "absent")
    with tls._key_file() as (_, path):
        assert [str(found) for found in tmp_path.iterdir()] == [path]
        assert Path(path).stat().st_mode & 0o777 == 0o600
    connect(identity.ssl_context(), client_context())
    assert list(tmp_path.iterdir()) == []


def test_threads_share_a_context(identity: AttestedIdentity) -> None:
    context, done = identity.ssl_context(), []

    def handshake() -> None:
        connect(context, client_context())
        done.append(True)

    threads = [threading.Thread(target=handshake) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 4


def test_an_identity_cannot_be_pickled(identity: AttestedIdentity) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(identity)


@pytest.mark.parametrize("make", [repr, str, vars])
def test_no_printed_form_shows_the_key(
    identity: AttestedIdentity, make: Callable[[object], object]
) -> None:
    assert "PRIVATE KEY" not in str(make(identity))
