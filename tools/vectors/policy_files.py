"""Expected measurements in the files that build tools write, and lines of them (L-*, M-3, M-9)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from nitro_attest.testing import registers
from vectors.case import Case, Measurements, Policy, PolicyFile
from vectors.fakes import NITRO, WHEN

OTHER: Final = b"\xaa" * 48
IMAGE: Final = dict(registers.IMAGE)
BOOT: Final = {index: registers.nitrotpm()[index] for index in (4, 7, 12)}
ONE_RAMDISK: Final = bytes.fromhex(
    "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
)
"""PCR2 of every image with one ramdisk."""

FILES: Final = "documents"
DOCUMENTS: Final = {
    "enclave": NITRO.document(at=WHEN),
    "one-ramdisk": NITRO.document(at=WHEN, pcrs={2: ONE_RAMDISK}),
    "signed-image": NITRO.document(at=WHEN, pcrs={8: OTHER}),
    "instance": NITRO.document(at=WHEN, kind="nitrotpm"),
}
"""The documents that the files are applied to; several cases share one, so each is a file."""

PLAIN: Final = ("freshness.unbound", "root.custom")
WEAK: Final = ("policy.weak", *PLAIN)
UNATTESTED: Final = ("policy.source_unattested", *PLAIN)
UNPINNED: Final = ("policy.unpinned", *PLAIN)
MISMATCH: Final = "policy.pcr_mismatch"

HEX: Final = IMAGE[0].hex()
PCRS: Final = {f"PCR{index}": value.hex() for index, value in IMAGE.items()}
ONE: Final = {"PCR0": HEX}
LONE: Final = {0: IMAGE[0]}
WRONG: Final = {"PCR0": OTHER.hex()}
ALGORITHM: Final = {"HashAlgorithm": "Sha384 { ... }"}


def _build(pcrs: Mapping[str, Any]) -> dict[str, Any]:
    return {"Measurements": ALGORITHM | dict(pcrs)}


def _enclave(name: str, pcrs: Mapping[str, Any], flags: str = "NONE") -> dict[str, Any]:
    return {
        "EnclaveName": name,
        "EnclaveID": f"i-0abcdef0123456789-enc{len(name):016x}",
        "ProcessID": 4711,
        "EnclaveCID": 16,
        "NumberOfCPUs": 2,
        "CPUIDs": [1, 3],
        "MemoryMiB": 512,
        "State": "RUNNING",
        "Flags": flags,
    } | _build(pcrs)


DESCRIBED: Final = {
    "EifVersion": 4,
    "IsSigned": False,
    "CheckCRC": True,
    "ImageName": "app",
    "ImageVersion": "1.0",
    "Metadata": {"BuildTool": "nitro-cli", "DockerInfo": {"Id": "PCR0", "PCR0": OTHER.hex()}},
} | _build(PCRS)
TWO: Final = [_enclave("app", PCRS), _enclave("other", WRONG)]


def cases() -> Iterator[Case]:
    """All of them, by rule."""
    for table in (_L_1, _L_2, _L_3, _L_4_AND_5, _L_6, _L_7, _L_8, _M, _T):
        for name, (title, content, outcome, *more) in table.items():
            yield _case(name, title, content, outcome, **(more[0] if more else {}))


def _case(
    name: str,
    title: str,
    content: Any,
    outcome: str | Measurements,
    *,
    document: str = "enclave",
    warnings: tuple[str, ...] = PLAIN,
    **file: Any,
) -> Case:
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content, indent=1)
    if isinstance(content, str):
        content = content.encode()
    refused = isinstance(outcome, str)
    return Case(
        id=name,
        group="policy-file",
        rules=(name.partition(".")[0],),
        title=title,
        document=DOCUMENTS[document],
        file=f"{FILES}/{document}.bin",
        time=WHEN,
        policy=Policy(kind="nitrotpm" if document == "instance" else "enclave"),
        policy_file=PolicyFile(content, **file),
        code=outcome if refused else None,
        measurements=() if refused else outcome,
        warnings=warnings,
    )


def _typos(*names: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for number, name in enumerate(names, 1):
        for form, whole in (("nested", _build(ONE | {name: HEX})), ("flat", ONE | {name: HEX})):
            title = f"A good PCR0, and {name!r}, which is no name of a PCR."
            yield f"L-1.typo-{number}-{form}", (title, whole, "policyfile.unknown_key")


_L_1: Final[dict[str, tuple[Any, ...]]] = {
    "L-1.build-enclave": ("What nitro-cli build-enclave prints.", _build(PCRS), (IMAGE,)),
    "L-1.build-enclave-other": ("The same of another image.", _build(WRONG), MISMATCH),
    "L-1.describe-eif": ("What nitro-cli describe-eif prints.", DESCRIBED, (IMAGE,)),
    "L-1.flat": ("Measurements without an object around them.", ALGORITHM | PCRS, (IMAGE,)),
    "L-1.no-algorithm": ("No HashAlgorithm.", {"Measurements": PCRS}, (IMAGE,)),
    "L-1.names-in-lower-case": (
        "PCR names and HashAlgorithm in lower case.",
        {"hashalgorithm": "sha384"} | {name.lower(): value for name, value in PCRS.items()},
        (IMAGE,),
    ),
    "L-1.names-in-lower-case-other": ("And of another image.", {"pcr0": OTHER.hex()}, MISMATCH),
    "L-1.assigned": (
        "Lines of PCR and value.",
        "".join(f"{name}={value}\n" for name, value in PCRS.items()),
        (IMAGE,),
    ),
    "L-1.hex-first": (
        "Lines of value and PCR.",
        "\n".join(f"{value} {name}" for name, value in PCRS.items()),
        (IMAGE,),
    ),
    "L-1.assigned-other": ("A line of another value.", f"PCR0={OTHER.hex()}\n", MISMATCH),
    "L-1.last-index": (
        "PCR31, which the document does not have.",
        {"PCR31": HEX},
        "policy.pcr_absent",
    ),
    "L-1.index-32": ("PCR32, which does not exist.", {"PCR32": HEX}, "policyfile.pcr_index"),
    "L-1.beside-measurements": (
        "A PCR beside Measurements in place of inside: it would count for nothing.",
        _build(ONE) | {"PCR1": OTHER.hex()},
        "policyfile.unknown_key",
    ),
    "L-1.comment": (
        "A member that no command prints.",
        _build(ONE) | {"Comment": "release 7"},
        "policyfile.unknown_key",
    ),
    **dict(_typos("PCRO", "PCR00", "PCR01", "PCR 1", "PCR-1", "PCR100", "0", "", "HashAlgorithms")),
    **{
        f"L-1.algorithm-{name}": (
            f"Measured by {value!r}.",
            _build(ONE | {"HashAlgorithm": value}),
            "policyfile.hash_algorithm",
        )
        for name, value in (
            *(("sha256", "Sha256 { ... }"), ("sha512", "sha512"), ("empty", "")),
            *(("null", None), ("number", 384)),
        )
    },
}

_L_2: Final[dict[str, tuple[Any, ...]]] = {
    "L-2.progress": (
        "Progress before and after what counts, as users save it.",
        "Start building the Enclave Image...\n[+] Building 2.1s\n"
        + json.dumps(_build(PCRS), indent=2)
        + "\nEnclave Image successfully created.\n",
        (IMAGE,),
    ),
    "L-2.eif-build": (
        "What eif_build prints.",
        "Output file: app.eif\n" + json.dumps(ALGORITHM | PCRS, indent=2) + "\n",
        (IMAGE,),
    ),
    "L-2.crlf": (
        "Lines that end as on Windows.",
        json.dumps(_build(PCRS), indent=2).replace("\n", "\r\n") + "\r\n",
        (IMAGE,),
    ),
    "L-2.byte-order-mark": (
        "A byte order mark in front.",
        b"\xef\xbb\xbf" + json.dumps(_build(PCRS)).encode(),
        (IMAGE,),
    ),
    **{
        f"L-2.{name}": (title, content, "policyfile.format")
        for name, (title, content) in {
            "two-values": ("Two values.", f"{json.dumps(ONE)}\n{json.dumps(ONE)}"),
            "two-values-on-a-line": ("Two on a line.", json.dumps(ONE) + json.dumps(ONE)),
            "line-after": ("A PCR line after the value.", f"{json.dumps(ONE)}\nPCR8={HEX}"),
            "line-before": ("A PCR line before it.", f"{HEX} PCR8\n{json.dumps(ONE)}"),
            "remark": ("A remark behind the value.", f"{json.dumps(ONE)} # the new one"),
            "indented": ("The value does not start a line.", f"Start\n {json.dumps(ONE)}"),
            "cut": ("The value without its end.", json.dumps(ONE)[:-1]),
            "word": ("A word.", "hello"),
            "lone-value": ("A value without a name.", HEX),
            "colon": ("A line in a form that no tool writes.", f"0: {HEX}"),
            "line-of-two-values": ("Two values for one PCR.", f"PCR0={HEX} {HEX}"),
            "line-not-understood": ("A good line, and one of no sense.", f"PCR0={HEX}\nPCR1\n"),
            "null": ("Null.", "null"),
            "array-of-numbers": ("An array of numbers.", "[1]"),
            "trailing-comma": ("A comma too many.", f'{{"PCR0": "{HEX}",}}'),
            "single-quotes": ("Single quotes.", f"{{'PCR0': '{HEX}'}}"),
            "nan": ("Not a number.", f'{{"PCR0": "{HEX}", "PCR1": NaN}}'),
            "deep": ("Nesting without an end.", '{"Metadata": ' + "[" * 5000),
            "utf-16": ("UTF-16.", json.dumps(ONE).encode("utf-16")),
            "not-utf-8": ("A byte that is no UTF-8.", json.dumps(ONE).encode() + b"\n\xff"),
        }.items()
    },
    "L-2.running": ("What describe-enclaves prints.", TWO[:1], (IMAGE,), {"warnings": UNATTESTED}),
    "L-2.chosen-by-name": (
        "One of two running enclaves, chosen by its name.",
        TWO,
        (IMAGE,),
        {"enclave_name": "app", "warnings": UNATTESTED},
    ),
    "L-2.chosen-by-id": (
        "One of two running enclaves, chosen by its id.",
        TWO,
        (IMAGE,),
        {"enclave_name": TWO[0]["EnclaveID"], "warnings": UNATTESTED},
    ),
    "L-2.other-chosen": (
        "The other one of them, which has other measurements.",
        TWO,
        MISMATCH,
        {"enclave_name": "other"},
    ),
    "L-2.none-chosen": ("Two running enclaves, none chosen.", TWO, "policyfile.format"),
    "L-2.unknown-chosen": (
        "A name that none of them has.",
        TWO,
        "policyfile.format",
        {"enclave_name": "third"},
    ),
    "L-2.two-of-one-name": (
        "Two enclaves of the name that was chosen.",
        [TWO[0], TWO[1] | {"EnclaveName": "app"}],
        "policyfile.format",
        {"enclave_name": "app"},
    ),
    "L-2.name-for-an-image": (
        "An enclave's name, for a file that describes none.",
        _build(PCRS),
        "policyfile.format",
        {"enclave_name": "app"},
    ),
    "L-2.running-without-measurements": (
        "An older nitro-cli, which prints no measurements of running enclaves.",
        [{key: value for key, value in TWO[0].items() if key != "Measurements"}],
        "policyfile.empty",
    ),
}

_L_3: Final[dict[str, tuple[Any, ...]]] = {
    f"L-3.{name}": (title, content, "policyfile.duplicate")
    for name, (title, content) in {
        "flat": ("PCR0 twice, first another.", f'{{"PCR0": "{OTHER.hex()}", "PCR0": "{HEX}"}}'),
        "equal": ("PCR0 twice with one value.", f'{{"PCR0": "{HEX}", "PCR0": "{HEX}"}}'),
        "case": ("PCR0 and pcr0.", f'{{"PCR0": "{HEX}", "pcr0": "{OTHER.hex()}"}}'),
        "nested": (
            "PCR0 twice in Measurements.",
            f'{{"Measurements": {{"PCR0": "{HEX}", "PCR0": "{OTHER.hex()}"}}}}',
        ),
        "measurements": (
            "Measurements twice: the second says less.",
            f'{{"Measurements": {{"PCR0": "{OTHER.hex()}"}}, "Measurements": {{"PCR1": "{HEX}"}}}}',
        ),
        "metadata": (
            "A key twice in a place that does not count.",
            f'{{"Measurements": {{"PCR0": "{HEX}"}}, "Metadata": {{"a": 1, "A": 1}}}}',
        ),
        "lines": ("Two lines for PCR0.", f"PCR0={HEX}\nPCR0={OTHER.hex()}\n"),
        "lines-of-both-forms": ("The same in two forms.", f"PCR0={HEX}\n{HEX} pcr0\n"),
    }.items()
} | {
    "L-3.two-objects": (
        "One key in two objects, which are two sets.",
        [WRONG, ONE],
        ({0: OTHER}, LONE),
    ),
}

_L_4_AND_5: Final[dict[str, tuple[Any, ...]]] = {
    "L-4.unsigned": ("No PCR8 in the file: it is not looked at.", _build(PCRS), (IMAGE,)),
    "L-4.signed": (
        "No PCR8 in the file, and the enclave's image is signed.",
        _build(PCRS),
        (IMAGE,),
        {"document": "signed-image"},
    ),
    "L-4.pcr8": (
        "The PCR8 of a signed image.",
        _build(PCRS | {"PCR8": OTHER.hex()}),
        (IMAGE | {8: OTHER},),
        {"document": "signed-image"},
    ),
    "L-4.pcr8-of-an-unsigned-image": (
        "The PCR8 of a signed image, where an unsigned one runs.",
        _build(PCRS | {"PCR8": OTHER.hex()}),
        MISMATCH,
    ),
    "L-5.debug-flag": (
        "A running enclave in debug mode: the measurements printed are not those attested.",
        [_enclave("app", PCRS, "DEBUG_MODE")],
        (IMAGE,),
        {"warnings": ("policy.debug_flag", *UNATTESTED)},
    ),
    "L-5.no-flag": (
        "A running enclave that is not in debug mode.",
        [_enclave("app", PCRS, "NONE")],
        (IMAGE,),
        {"warnings": UNATTESTED},
    ),
}

_L_6: Final[dict[str, tuple[Any, ...]]] = {
    "L-6.no-index": ("A PCR that does not say which.", {"PCR": HEX}, "policyfile.pcr_index"),
    "L-6.index": (
        "The same, where the caller says which.",
        {"PCR": HEX},
        (LONE,),
        {"pcr_index": 0},
    ),
    "L-6.other-index": (
        "The same, for another PCR.",
        {"PCR": HEX},
        MISMATCH,
        {"pcr_index": 1},
    ),
    "L-6.index-32": (
        "The same, for a PCR that does not exist.",
        {"PCR": HEX},
        "policyfile.pcr_index",
        {"pcr_index": 32},
    ),
    "L-6.index-for-named": (
        "An index, for a file that names its own.",
        {"PCR0": HEX},
        "policyfile.pcr_index",
        {"pcr_index": 1},
    ),
    "L-6.index-for-lines": (
        "An index, for lines that name their own.",
        f"PCR0={HEX}\n",
        "policyfile.pcr_index",
        {"pcr_index": 0},
    ),
}

_L_7: Final[dict[str, tuple[Any, ...]]] = {
    f"L-7.{name}": (title, content, "policyfile.empty")
    for name, (title, content) in {
        "no-bytes": ("A file of no bytes.", ""),
        "blank": ("Blank lines.", "\n \n"),
        "object": ("An empty object.", "{}"),
        "array": ("An empty array.", "[]"),
        "array-of-empty": ("An array of an empty object.", "[{}]"),
        "measurements": ("Measurements of nothing.", {"Measurements": {}}),
        "algorithm-only": ("An algorithm that measured nothing.", ALGORITHM),
        "second-set": ("A good set, and an empty one, which would fit anything.", [ONE, {}]),
    }.items()
} | {
    "L-7.one-pcr": ("One PCR is enough.", ONE, (LONE,)),
}

_L_8: Final[dict[str, tuple[Any, ...]]] = {
    "L-8.second-set": (
        "Two builds, of which the second runs.",
        [_build(WRONG), _build(PCRS)],
        ({0: OTHER}, IMAGE),
    ),
    "L-8.flat-sets": ("The same without objects around.", [WRONG, PCRS], ({0: OTHER}, IMAGE)),
    "L-8.no-set": ("Two builds, of which none runs.", [_build(WRONG)] * 2, MISMATCH),
    "L-8.half-a-set": (
        "One PCR of the set fits, the other does not.",
        _build(ONE | {"PCR1": OTHER.hex()}),
        MISMATCH,
    ),
    "L-8.halves-of-two-sets": (
        "Each set fits in half: two halves are not a whole.",
        [_build(ONE | {"PCR1": OTHER.hex()}), _build(WRONG | {"PCR1": IMAGE[1].hex()})],
        MISMATCH,
    ),
    **{
        f"L-8.{name}": (title, content, "policyfile.format")
        for name, (title, content) in {
            "mixture": ("Outputs of two commands in one array.", [ONE, _build(ONE)]),
            "mixture-with-null": ("A set, and null.", [ONE, None]),
            "array-in-array": ("An array in an array.", [[ONE]]),
        }.items()
    },
}

_M: Final[dict[str, tuple[Any, ...]]] = {
    **{
        f"M-3.pcr{index}": (
            f"PCR{index} of zeros, which is what debug mode attests to.",
            _build(PCRS | {f"PCR{index}": "0" * 96}),
            "policyfile.zero_pin",
        )
        for index in range(3)
    },
    "M-3.second-set": (
        "A good set, and one of zeros.",
        [_build(PCRS), _build(dict.fromkeys(PCRS, "00" * 48))],
        "policyfile.zero_pin",
    ),
    "M-3.pcr8": (
        "PCR8 of zeros: the image is not signed.",
        _build(PCRS | {"PCR8": "0" * 96}),
        (IMAGE | {8: bytes(48)},),
        {"warnings": WEAK},
    ),
    "M-4.constant": (
        "Nothing but the PCR2 of every image with one ramdisk: it says nothing.",
        f"PCR2={ONE_RAMDISK.hex()}\n",
        ({2: ONE_RAMDISK},),
        {"document": "one-ramdisk", "warnings": WEAK},
    ),
    "M-9.upper-case": ("Upper-case digits.", {"PCR0": HEX.upper()}, (LONE,)),
    "M-9.prefix": ("A 0x in front.", {"PCR0": f"0x{HEX}"}, (LONE,)),
    "M-9.line-with-prefix": ("A 0x in a line.", f"PCR0=0x{HEX.upper()}\n", (LONE,)),
    "M-9.last-digit": (
        "The last digit differs.",
        {"PCR0": HEX[:-1] + f"{int(HEX[-1], 16) ^ 1:x}"},
        MISMATCH,
    ),
    **{
        f"M-9.{name}": (title, {"PCR0": value}, "policyfile.hex")
        for name, (title, value) in {
            "95-digits": ("95 digits.", HEX[1:]),
            "97-digits": ("97 digits.", f"{HEX}0"),
            "94-digits": ("94 digits: one byte is missing.", HEX[2:]),
            "no-digits": ("No digits.", ""),
            "prefix-in-the-count": ("96 characters, of which two are 0x.", f"0x{HEX[2:]}"),
            "letter": ("A letter that is no digit.", f"g{HEX[1:]}"),
            "blank-inside": ("A blank among the digits.", f"{HEX[:48]} {HEX[48:]}"),
            "other-digits": ("Digits of another script.", f"\uff10{HEX[1:]}"),
            "null": ("Null.", None),
            "number": ("A number.", 7),
            "array": ("An array.", [HEX]),
        }.items()
    },
    "M-9.line-of-95": ("95 digits in a line.", f"PCR0={HEX[1:]}\n", "policyfile.hex"),
}

_COMPUTED: Final = {f"PCR{index}": value.hex() for index, value in BOOT.items()}
_T: Final[dict[str, tuple[Any, ...]]] = {
    f"{name}@nitrotpm": (title, content, outcome, dict(*more, document="instance"))
    for name, (title, content, outcome, *more) in {
        "T-6.computed": ("What nitro-tpm-pcr-compute prints.", _build(_COMPUTED), (BOOT,)),
        "T-6.two": (
            "Two of them, of which the second fits.",
            [_build(_COMPUTED | {"PCR4": OTHER.hex()}), _build(_COMPUTED)],
            (BOOT | {4: OTHER}, BOOT),
        ),
        "T-6.lines": ("A line for one PCR.", f"PCR4={_COMPUTED['PCR4']}\n", ({4: BOOT[4]},)),
        "T-6.other": (
            "Another boot chain.",
            _build(_COMPUTED | {"PCR4": OTHER.hex()}),
            MISMATCH,
        ),
        "T-6.without-pcr12": (
            "Without PCR12, as earlier releases print it: what PCR12 measures is open.",
            _build({key: _COMPUTED[key] for key in ("PCR4", "PCR7")}),
            ({4: BOOT[4], 7: BOOT[7]},),
            {"warnings": UNPINNED},
        ),
        "T-2.image": ("The measurements of an enclave.", _build(PCRS), "policyfile.format"),
        "T-2.running": ("A running enclave.", TWO[:1], "policyfile.format"),
    }.items()
} | {
    "T-2.instance-measurements": (
        "The measurements of an instance, for an enclave.",
        _build(_COMPUTED),
        "policyfile.format",
    ),
}
