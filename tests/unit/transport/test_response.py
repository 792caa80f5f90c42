"""The parser of HTTP answers: one form of each thing, fixed limits, one code for each fault."""

import re

import pytest

from nitro_attest.errors import EnclaveError
from nitro_attest.transport.connection import MAX_HEAD_BYTES
from nitro_attest.transport.response import Response, ResponseParser, check_status

MAX_BODY = 100
OK = b"HTTP/1.1 200 OK\r\n"


def parse(data):
    """The answer in the given bytes, after which the connection is closed."""
    parser = ResponseParser(MAX_BODY)
    return parser.feed(data) or parser.end()


def declared(length, body=b""):
    return OK + b"Content-Length:%s\r\n\r\n%s" % (length, body)


def test_an_answer_has_status_headers_and_body():
    assert parse(
        b"HTTP/1.1 404 Not  Found\xff\r\nX-A: \t1, 2 \t\r\nContent-Length: 3\r\nx-a:\r\n\r\nabc"
    ) == Response(404, (("x-a", "1, 2"), ("content-length", "3"), ("x-a", "")), b"abc", b"")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(declared(b"0"), id="empty_body"),
        pytest.param(declared(b" 3 ", b"abc"), id="space_around_the_value"),
        pytest.param(declared(b"100", bytes(100)), id="largest_body"),
        pytest.param(b"HTTP/1.1 599 \r\ncontent-LENGTH:0\r\n\r\n", id="empty_reason"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length:0\r\n\r\n", id="http_1_0"),
    ],
)
def test_an_answer_of_the_accepted_form_is_parsed(data):
    assert parse(data).body == data.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("size", range(1, 60))
def test_an_answer_in_pieces_is_parsed_when_its_last_byte_arrives(size):
    data = declared(b"5", b"a\r\nb\n")
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    parser = ResponseParser(MAX_BODY)
    assert [parser.feed(piece) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert parser.feed(pieces[-1]).body == b"a\r\nb\n"


def test_bytes_after_the_answer_are_returned_apart():
    response = parse(declared(b"3", b"abc" + OK))
    assert (response.body, response.rest) == (b"abc", OK)


def head_of(size):
    start, end = OK + b"Content-Length: 0\r\nX: ", b"\r\n\r\n"
    return start + b"x" * (size - len(start) - len(end)) + end


def test_the_head_has_a_maximum_size():
    assert parse(head_of(MAX_HEAD_BYTES)).body == b""
    with pytest.raises(EnclaveError) as caught:
        parse(head_of(MAX_HEAD_BYTES + 1))
    assert caught.value.code == "transport.too_large"


@pytest.mark.parametrize("start", [b"", OK, OK + b"X: "])
@pytest.mark.parametrize("endless", [b"\0", b" ", b"x: y\r\n"])
def test_an_endless_head_is_rejected_at_the_maximum(start, endless):
    parser = ResponseParser(MAX_BODY)
    with pytest.raises(EnclaveError):
        parser.feed(start + endless * MAX_HEAD_BYTES)


LENGTHS_TOO_LARGE = [b"101", b"1%s" % (b"0" * 30), b"9" * 5000, b"%d" % 2**63, b"%d" % 2**64]
INVALID_LENGTHS = [
    *(b"", b" ", b"-1", b"-5", b"+5", b"0_3", b"5_0", b"05", b"00", b"0x5", b"5.", b"5e1", b"5 5"),
    *(b"5,5", b"5, 5", b"five", b"5;", b'"5"', b"\xb2", b"\xd9\xa3", b"5\x0b", b"5\x00", b"\r5"),
]


@pytest.mark.parametrize("length", LENGTHS_TOO_LARGE)
def test_a_declared_length_above_the_maximum_is_rejected_before_the_body(length):
    with pytest.raises(EnclaveError, match="expected a body of at most 100 bytes") as caught:
        ResponseParser(MAX_BODY).feed(declared(length))
    assert caught.value.code == "transport.too_large"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("length", INVALID_LENGTHS)
def test_a_declared_length_in_a_different_form_is_rejected(length):
    with pytest.raises(EnclaveError) as caught:
        ResponseParser(MAX_BODY).feed(declared(length, bytes(5)))
    assert caught.value.code == "transport.http"


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"4\r\nbody\r\n0\r\n\r\n", b"body"),
        (b"2\r\n\r\n\r\n0002\r\n\n\r\r\n00\r\n\r\n", b"\r\n\n\r"),
        (b"63\r\n%b\r\n1\r\nx\r\n0\r\n\r\n" % bytes(99), bytes(99) + b"x"),
    ],
    ids=["empty", "one", "line_ends", "largest"],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_body_in_chunks_is_put_together(chunks, body, size):
    data = CHUNKED + chunks
    parser = ResponseParser(MAX_BODY)
    answers = [parser.feed(data[i : i + size]) for i in range(0, len(data), size)]
    assert answers[:-1] == [None] * (len(answers) - 1)
    assert (answers[-1].body, answers[-1].rest) == (body, b"")


def test_bytes_after_the_last_chunk_are_returned_apart():
    assert parse(CHUNKED + b"1\r\nx\r\n0\r\n\r\n" + OK).rest == OK


CHUNKS_TOO_LARGE = [b"65", b"200000000"[:8], b"7fffffff", b"ffffffff", b"00000065"]
MALFORMED_CHUNKS = [
    *(b"%x\r\n" % 2**80, b"%x\r\n" % (2**63 - 1), b"%x\r\n" % 2**62, b"200000000\r\n"),
    *(b"-5\r\n", b"0_3\r\n", b"+4\r\n", b"0x4\r\n", b" 4\r\n", b"4 \r\n", b"\r\n", b"\n", b"g\r\n"),
    *(b"4;x=y\r\nbody\r\n", b"4\nbody\r\n", b"4\r\nbodyx\r\n", b"4\r\nbody\n\n", b"\xb2\r\n"),
    *(b"0\r\nTrailer: x\r\n\r\n", b"0\r\n\n\n", b"000000000\r\n", b"\0" * 10),
]


@pytest.mark.parametrize("size", CHUNKS_TOO_LARGE)
@pytest.mark.parametrize("before", [b"", b"1\r\nx\r\n"])
def test_a_chunk_beyond_the_maximum_is_rejected_before_it_is_received(size, before):
    with pytest.raises(EnclaveError, match="at most 100 bytes") as caught:
        ResponseParser(MAX_BODY).feed(CHUNKED + before + size + b"\r\n")
    assert caught.value.code == "transport.too_large"


def test_chunks_are_too_large_together():
    with pytest.raises(EnclaveError, match="found 101") as caught:
        ResponseParser(MAX_BODY).feed(CHUNKED + b"64\r\n%b\r\n1\r\n" % bytes(100))
    assert caught.value.code == "transport.too_large"


@pytest.mark.parametrize("chunks", MALFORMED_CHUNKS)
@pytest.mark.parametrize("before", [b"", b"1\r\nx\r\n"])
def test_a_chunk_in_a_different_form_is_rejected(chunks, before):
    with pytest.raises(EnclaveError, match="malformed chunk") as caught:
        ResponseParser(MAX_BODY).feed(CHUNKED + before + chunks)
    assert caught.value.code == "transport.http"


@pytest.mark.parametrize("chunks", [b"", b"4", b"4\r\nbod", b"4\r\nbody\r", b"0\r\n", b"0\r\n\r"])
def test_a_connection_closed_within_the_chunks_is_truncated(chunks):
    with pytest.raises(EnclaveError, match="a further chunk") as caught:
        parse(CHUNKED + chunks)
    assert caught.value.code == "transport.truncated"


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        OK + b"Content-Length: 4\r\nTRANSFER-encoding: chunked\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        *(OK + b"Transfer-Encoding: %s\r\n" % c for c in (b"", b"gzip, chunked", b"Chunked", b"x")),
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_a_body_whose_size_could_be_read_in_two_ways_is_rejected(head):
    with pytest.raises(EnclaveError, match="ambiguous size") as caught:
        parse(head + b"\r\n4\r\nbody\r\n0\r\n\r\n")
    assert caught.value.code == "transport.http"


STATUS_LINES = [
    *(b"\r\n", b"\n", b"HTTP/1.1\r\n", b"HTTP/1.1 200\r\n", b"HTTP/1.1  200 OK\r\n"),
    *(b"HTTP/1.1 20 OK\r\n", b"HTTP/1.1 2000 OK\r\n", b"HTTP/1.1 2_0 OK\r\n"),
    *(b"HTTP/1.1 +20 OK\r\n", b"HTTP/1.1 \xb2\xb3\xb9 OK\r\n", b"HTTP/1.1\t200 OK\r\n"),
    *(b"http/1.1 200 OK\r\n", b"HTTP/2 200 OK\r\n", b"HTTP/1.2 200 OK\r\n"),
    *(b"HTTP/1.1 200 OK\n", b"HTTP/1.1 200 O\rK\r\n", b"HTTP/1.1 200 O\0K\r\n"),
    *(b" HTTP/1.1 200 OK\r\n", b"SSH-2.0-server\r\n", b"OK 1073741824\n", b'\x84D\xa1\x018"\n'),
]
STATUSES = [b"000", b"100", b"101", b"103", b"199", b"204", b"304", b"600", b"999"]


@pytest.mark.parametrize("line", STATUS_LINES)
def test_a_malformed_status_line_is_rejected_when_it_ends(line):
    with pytest.raises(EnclaveError, match="malformed status line") as caught:
        ResponseParser(MAX_BODY).feed(line)
    assert caught.value.code == "transport.http"


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_without_a_body_or_out_of_range_is_rejected(status):
    with pytest.raises(EnclaveError, match=f"unexpected status {int(status)}:") as caught:
        ResponseParser(MAX_BODY).feed(b"HTTP/1.1 %s X\r\n" % status)
    assert caught.value.code == "transport.http"


HEADER_LINES = [
    *(b"\n", b"\r\r\n", b"x\r\n", b": y\r\n", b"x : y\r\n", b" x: y\r\n", b"\tx: y\r\n"),
    *(b"x: y\n", b"x: y\rz\r\n", b"x: y\r\r\n", b"x: \0\r\n", b"x: \x7f\r\n", b"x\0: y\r\n"),
    *(b"x y: z\r\n", b"\xe9: y\r\n", b"x[: y\r\n", b"x: y\x0bz\r\n", b"x: y\r\n folded\r\n"),
]


@pytest.mark.parametrize("line", HEADER_LINES)
def test_a_malformed_header_is_rejected_when_it_ends(line):
    with pytest.raises(EnclaveError, match="malformed HTTP header") as caught:
        ResponseParser(MAX_BODY).feed(OK + line)
    assert caught.value.code == "transport.http"


@pytest.mark.parametrize(
    ("lengths", "found"),
    [([], "none"), ([b"3", b"3"], "'3, 3'"), ([b"3", b"4"], "'3, 4'"), ([b"", b"3"], "', 3'")],
)
def test_there_must_be_one_content_length(lengths, found):
    fields = b"".join(b"Content-Length: %s\r\n" % length for length in lengths)
    with pytest.raises(EnclaveError, match=f"found {found}$") as caught:
        parse(OK + fields + b"\r\nabc")
    assert caught.value.code == "transport.http"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "transport.no_answer", id="nothing"),
        pytest.param(b"H", "transport.http", id="one_byte"),
        pytest.param(OK, "transport.http", id="status_line"),
        pytest.param(declared(b"3")[:-1], "transport.http", id="head_less_a_byte"),
        pytest.param(declared(b"3"), "transport.truncated", id="head"),
        pytest.param(declared(b"3", b"ab"), "transport.truncated", id="body_less_a_byte"),
    ],
)
def test_a_closed_connection_has_a_code_for_each_part_of_the_answer(data, code):
    with pytest.raises(EnclaveError) as caught:
        parse(data)
    assert caught.value.code == code


def test_an_error_is_final():
    parser = ResponseParser(MAX_BODY)
    for data in (OK + b"bad\r\n", declared(b"0"), b""):
        with pytest.raises(EnclaveError, match=r"found b'bad\\r\\n'"):
            parser.feed(data)


@pytest.mark.parametrize("data", [b"%s\r\n", OK + b"%s\r\n", declared(b"%s"), declared(b"9%s")])
def test_a_message_quotes_at_most_60_bytes(data):
    for character in (b"x", b"9"):
        with pytest.raises(EnclaveError) as caught:
            parse(data % (character * 1000))
        quoted = max(re.findall("[x9]+", caught.value.message), key=len)
        assert len(quoted) == 60


def test_a_response_is_an_immutable_value():
    response = parse(declared(b"3", b"abc more"))
    assert (type(response.body), type(response.rest)) == (bytes, bytes)
    assert hash(response) == hash(parse(declared(b"3", b"abc more")))
    assert not hasattr(response, "__dict__")
    with pytest.raises(AttributeError):
        response.status = 204


def test_a_message_cannot_control_a_terminal():
    for data in (b"\x1b[2J\r\n", OK + b"\x1b[2J\r\n", declared(b"\xe9\x9b")):
        with pytest.raises(EnclaveError) as caught:
            parse(data)
        assert str(caught.value).isascii()
        assert str(caught.value).isprintable()


def answered(status, body=b"sorry"):
    return Response(status, (), body, b"")


def test_status_200_is_accepted():
    check_status(answered(200))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (201, "transport.status"),
        (299, "transport.status"),
        (300, "transport.redirect"),
        (399, "transport.redirect"),
        (400, "transport.status"),
        (404, "transport.status"),
        (502, "transport.status"),
        (503, "transport.busy"),
        (504, "transport.nsm_stalled"),
        (505, "transport.status"),
    ],
)
def test_every_other_status_has_a_code(status, code):
    with pytest.raises(EnclaveError) as caught:
        check_status(answered(status))
    assert caught.value.code == code
    if code != "transport.redirect":
        assert str(caught.value).endswith("'sorry'")


def test_at_most_300_bytes_of_the_body_are_quoted():
    with pytest.raises(EnclaveError) as caught:
        check_status(answered(404, b"\x1b" + b"x" * 400))
    assert str(caught.value).endswith(f"'\\x1b{'x' * 299}'")
