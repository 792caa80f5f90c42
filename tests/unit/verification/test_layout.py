"""The layouts of C structs, compared with what cffi itself reads."""

import pytest

from nitro_attest.verification._native import ffi
from nitro_attest.verification.layout import layout


@pytest.mark.parametrize(
    "name", ["nitro_span", "nitro_error", "nitro_sign1", "nitro_payload", "nitro_limits"]
)
def test_a_layout_is_as_large_as_the_struct_whatever_it_reads(name):
    members = [member for member, _ in ffi.typeof(name).fields]
    for read in ([], members, *([member] for member in members)):
        assert layout(name, *read).size == ffi.sizeof(name)


def test_numbers_are_read_where_cffi_has_them():
    made = ffi.new("nitro_error *", {"found": 2**64 - 1, "index": 7, "text": {"offset": 5}})
    read = layout("nitro_error", "found", "index", "text").unpack(ffi.buffer(made))
    assert read == (made.found, made.index, made.text.offset, made.text.length)


def test_the_members_of_an_array_are_read_one_after_another():
    made = ffi.new("nitro_payload *")
    made.pcrs = [{"offset": i, "length": 100 + i} for i in range(32)]
    assert layout("nitro_payload", "pcrs.offset").unpack(ffi.buffer(made)) == (*range(32),)
    assert layout("nitro_payload", "pcrs.length").unpack(ffi.buffer(made)) == (*range(100, 132),)
    assert len(layout("nitro_payload", "pcrs").unpack(ffi.buffer(made))) == 64


def test_a_member_is_named_in_full():
    assert (
        layout("nitro_payload", "pcr", "cabundle.off").unpack(bytes(ffi.sizeof("nitro_payload")))
        == ()
    )
    assert len(layout("nitro_payload", "cabundle").unpack(bytes(ffi.sizeof("nitro_payload")))) == 16
