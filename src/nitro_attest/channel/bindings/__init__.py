"""Bindings: how a document names the key of a connection, or another key of the enclave."""

from nitro_attest.channel.bindings.base import Binding, Bound, Peer
from nitro_attest.channel.bindings.tls import TlsKey

__all__ = [
    "Binding",
    "Bound",
    "Peer",
    "TlsKey",
]
