"""Servers and arguments for the tests of the channel."""

from contextlib import ExitStack

import pytest

from support.clock import PATIENT
from support.enclave_server import PCRS, ConnectProxy, fake_enclave


@pytest.fixture
def serve(fake, when, clock):
    """Starts fake enclaves, which are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(fake_enclave(fake, when, **options))


@pytest.fixture
def server(serve):
    """An honest enclave."""
    return serve()


@pytest.fixture
def options(fake):
    """The arguments of a client that accepts the honest enclave."""
    return {"policy": PCRS, "roots": fake.root_pem, "timeout": PATIENT}


@pytest.fixture
def proxy():
    proxy = ConnectProxy()
    yield proxy
    proxy.close()
