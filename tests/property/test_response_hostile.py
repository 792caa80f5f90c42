"""Any bytes given as an HTTP answer are parsed or rejected, however they are divided."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from nitro_attest.errors import EnclaveError
from nitro_attest.transport.connection import MAX_HEAD_BYTES
from nitro_attest.transport.response import ResponseParser

MAX_BODY = 40
OK = b"HTTP/1.1 200 OK\r\n"


def outcome(pieces):
    """The answer, with all that follows it, or the error."""
    parser = ResponseParser(MAX_BODY)
    pieces = iter(pieces)
    try:
        for piece in pieces:
            if answer := parser.feed(piece):
                after = answer.rest + b"".join(pieces)
                return (answer.status, answer.headers, answer.body, after)
        parser.end()
    except EnclaveError as error:
        return (error.code, error.message)


LINES = st.sampled_from(
    [
        *(OK, b"HTTP/1.1 503 Busy\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.0 200 \r\n"),
        *(b"Content-Length: 3\r\n", b"Content-Length: 41\r\n", b"content-length:0\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"X: y\r\n", b" folded\r\n", b"X: y\n", b"\r\n"),
        *(b"\r\n\r\n", b"\n\n", b"abc", b"\r", b"\0", b"x" * MAX_HEAD_BYTES),
    ]
)
LIKE_ANSWERS = st.lists(LINES, max_size=8).map(b"".join)
ANSWERS = st.binary(max_size=MAX_BODY).map(
    lambda body: OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
)


@given(
    st.one_of(st.binary(), LIKE_ANSWERS, ANSWERS, st.tuples(ANSWERS, st.binary()).map(b"".join)),
    st.lists(st.integers(0, MAX_HEAD_BYTES + 100)),
)
@example(OK + b"X: " + b"y" * MAX_HEAD_BYTES + b"\r\n", [MAX_HEAD_BYTES, MAX_HEAD_BYTES + 1])
def test_the_result_does_not_depend_on_the_division(data, cuts):
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(bounds)]
    whole = outcome([data])
    assert outcome(pieces) == whole
    assert outcome(data[i : i + 1] for i in range(len(data))) == whole


@given(st.binary(max_size=MAX_BODY), st.binary())
def test_the_body_has_exactly_the_declared_size(body, after):
    head = OK + b"Content-Length: %d\r\n\r\n" % len(body)
    assert outcome([head + body + after])[2:] == (body, after)
