"""open_attested_connection: what it does beside what every client does (test_every_client.py)."""

import asyncio
import gc
import socket

import pytest

from nitro_attest.channel import open_attested_connection
from support.errors import code_of


def opened(*arguments, **options):
    async def open_and_close():
        _, writer, attestation = await open_attested_connection(*arguments, **options)
        writer.close()
        await writer.wait_closed()
        return attestation

    return asyncio.run(open_and_close())


def test_unix_sockets(serve, options, tmp_path):
    server = serve(family=socket.AF_UNIX, address=str(tmp_path / "enclave.sock"))
    assert opened(f"unix:{server.address}", **options).public_key == server.key
    assert server.application() == b""


def test_a_relay_on_a_unix_socket_is_rejected(serve, options, tmp_path):
    server = serve(family=socket.AF_UNIX, address=str(tmp_path / "enclave.sock"), relay=True)
    assert code_of(opened, f"unix:{server.address}", **options) == "policy.binding"
    assert server.application() == b""


def test_what_is_no_tls_on_a_unix_socket_is_rejected(serve, options, tmp_path):
    server = serve(family=socket.AF_UNIX, address=str(tmp_path / "enclave.sock"), refuse=True)
    assert code_of(opened, f"unix:{server.address}", **options) == "transport.tls"


def test_no_server_on_a_unix_socket(options, tmp_path):
    assert code_of(opened, f"unix:{tmp_path}/none.sock", **options) == "transport.refused"


def test_no_server_on_a_port(options):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert code_of(opened, "127.0.0.1", port, **options) == "transport.refused"


def test_an_unknown_host(options):
    assert code_of(opened, "enclave.invalid", 443, **options) == "transport.resolve"


def test_a_connection_that_cannot_be_opened(options):
    assert code_of(opened, "255.255.255.255", 443, **options) == "transport.unreachable"


@pytest.mark.parametrize(
    "where",
    [
        ("enclave.example",),
        ("enclave.example", "443"),
        ("enclave.example", 0),
        ("enclave.example", 65536),
        ("enclave.example", True),
        ("https://enclave.example", 443),
        ("unix:/run/x.sock", 443),
        ("vsock:16:443", 443),
        ("vsock:any:443",),
        ("vsock:16",),
        (None, 443),
        (b"enclave.example", 443),
    ],
    ids=repr,
)
def test_each_other_form_of_an_endpoint_is_a_usage_error(options, where):
    assert code_of(opened, *where, **options) == "input.endpoint"


def test_webpki_needs_a_host(options):
    assert code_of(opened, "vsock:16:443", **options, webpki=True) == "input.endpoint"


async def cancelled(opening, reached):
    task = asyncio.create_task(opening)
    await asyncio.get_running_loop().run_in_executor(None, reached)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("arguments", [{"answer": lambda server, nonce: b"HTTP"}, {"mute": True}])
def test_a_cancelled_task_leaves_no_socket_open(serve, options, arguments):
    server = serve(**arguments)
    opening = open_attested_connection("127.0.0.1", server.port, **options)
    asyncio.run(cancelled(opening, server.received.wait))
    assert server.application() == b""
    gc.collect()
