"""Connections to an enclave that are attested before the application sends its first byte.

Names are loaded at their first use. Those for httpx and requests need the extras ``http`` and
``requests``: without them their import raises InputError ``input.extra``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nitro_attest._internal.lazy import lazy_names

if TYPE_CHECKING:
    from nitro_attest.channel.exchange import Attested as Attested
    from nitro_attest.channel.exchange import ChannelVerifier as ChannelVerifier
    from nitro_attest.channel.exchange import Exchange as Exchange
    from nitro_attest.channel.httpx_transport import (
        AsyncAttestedTransport as AsyncAttestedTransport,
    )
    from nitro_attest.channel.httpx_transport import AttestedTransport as AttestedTransport
    from nitro_attest.channel.requests_adapter import AttestedAdapter as AttestedAdapter
    from nitro_attest.channel.sockets import attested_socket as attested_socket
    from nitro_attest.channel.streams import open_attested_connection as open_attested_connection

_NAMES = {
    "exchange": ("Attested", "ChannelVerifier", "Exchange"),
    "httpx_transport": ("AsyncAttestedTransport", "AttestedTransport"),
    "requests_adapter": ("AttestedAdapter",),
    "sockets": ("attested_socket",),
    "streams": ("open_attested_connection",),
}
"""The modules that define the public names. The imports above tell type checkers the same."""

if not TYPE_CHECKING:  # type checkers that saw __getattr__ would accept every name
    __getattr__, __dir__, __all__ = lazy_names(__name__, globals(), _NAMES)
