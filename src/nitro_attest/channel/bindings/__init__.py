"""Bindings: how a document names the key of a connection, or another key of the enclave.

Bindings to a connection have the interface ``Binding``: their ``check`` compares a document with
the server of the TLS connection on which it was received. Clients take only these. The others
read a key or a statement of the enclave from a document; they say nothing about any connection, so
use only that key for the rest of the session.
"""

from nitro_attest.channel.bindings.base import Binding, Bound, Peer
from nitro_attest.channel.bindings.dstack import Dstack, DstackReport
from nitro_attest.channel.bindings.enclave_key import EnclaveKey
from nitro_attest.channel.bindings.evervault import Evervault
from nitro_attest.channel.bindings.nautilus import Nautilus
from nitro_attest.channel.bindings.nitriding import Nitriding, NitridingKeys
from nitro_attest.channel.bindings.oyster import Oyster
from nitro_attest.channel.bindings.secp256k1 import Secp256k1Key
from nitro_attest.channel.bindings.tls import (
    TlsCertificateDigest,
    TlsKey,
    TlsKeyDigest,
)
from nitro_attest.channel.bindings.turnkey import TurnkeyApp, TurnkeyBoot, TurnkeyKeys

__all__ = [
    "Binding",
    "Bound",
    "Dstack",
    "DstackReport",
    "EnclaveKey",
    "Evervault",
    "Nautilus",
    "Nitriding",
    "NitridingKeys",
    "Oyster",
    "Peer",
    "Secp256k1Key",
    "TlsCertificateDigest",
    "TlsKey",
    "TlsKeyDigest",
    "TurnkeyApp",
    "TurnkeyBoot",
    "TurnkeyKeys",
]
