"""Builds the C core as nitro_attest.verification._native: cffi, API mode, CPython's stable ABI.

The declarations come from nitro_cose.h, between its two marks. They are not repeated here, because
cffi would not compare a repeated enum value with the C compiler's.
"""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
HEADER = (HERE / "nitro_cose.h").read_text(encoding="ascii")
DECLARATIONS = HEADER.split("/* cffi-begin */")[1].split("/* cffi-end */")[0]

ffibuilder = FFI()
ffibuilder.cdef(DECLARATIONS)
ffibuilder.set_source(
    "nitro_attest.verification._native",
    '#include "nitro_cose.h"',
    sources=["csrc/nitro_cose.c"],
    depends=["csrc/nitro_cose.h", "csrc/cbor_reader.h", "csrc/cbor_skip.h"],
    include_dirs=["csrc"],
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
