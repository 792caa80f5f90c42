"""``fuzz/oss-fuzz/build.sh`` builds fuzz targets that run, with the variables of OSS-Fuzz.

The variables are those of the image ``base-builder``: github.com/google/oss-fuzz,
infra/base-images/base-builder/Dockerfile. The image itself is not used.
"""

import os
import shutil
import subprocess
import zipfile

import pytest

from support.paths import ROOT

CLANG = shutil.which("clang"), shutil.which("clang++")

# Of the base image, but for unsigned-integer-overflow, which it only uses to guide the fuzzer.
SANITIZERS = {
    "address": "-fsanitize=address -fsanitize-address-use-after-scope",
    "undefined": "-fsanitize=array-bounds,bool,builtin,enum,function,integer-divide-by-zero,null,"
    "object-size,return,returns-nonnull-attribute,shift,signed-integer-overflow,unreachable,"
    "vla-bound,vptr -fno-sanitize-recover=all",
    "memory": "-fsanitize=memory -fsanitize-memory-track-origins",
}


def has_libfuzzer(folder):
    source = folder / "probe.c"
    source.write_text("int LLVMFuzzerTestOneInput(const char *d, long n) { return 0 * *d * n; }")
    command = ("clang", "-fsanitize=fuzzer,address", source, "-o", folder / "probe")
    return not subprocess.run(command, capture_output=True).returncode


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_targets_build_and_run(tmp_path, sanitizer):
    if None in CLANG or shutil.which("zip") is None or not has_libfuzzer(tmp_path):
        pytest.skip("needs clang with libFuzzer, and zip")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/nitro-attest").symlink_to(ROOT)
    for name in ("out", "work"):
        (tmp_path / name).mkdir()
    flags = f"-O1 -gline-tables-only {SANITIZERS[sanitizer]} -fsanitize=fuzzer-no-link"
    environment = {
        **os.environ,
        "CC": "clang",
        "CXX": "clang++",
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer",
        "SRC": str(tmp_path / "src"),
        "OUT": str(tmp_path / "out"),
        "WORK": str(tmp_path / "work"),
    }
    subprocess.run(("bash", "-eu", ROOT / "fuzz/oss-fuzz/build.sh"), env=environment, check=True)
    for target in ("fuzz_sign1", "fuzz_payload"):
        run(tmp_path / "out", target)


def run(out, target):
    """Runs a target on its seeds and some thousand more inputs."""
    corpus = out / f"{target}_seed_corpus"
    with zipfile.ZipFile(f"{corpus}.zip") as archive:
        archive.extractall(corpus)
    seeds = len(list(corpus.iterdir()))
    assert seeds > 10
    ended = subprocess.run(
        (out / target, f"-dict={out / target}.dict", "-runs=5000", "-seed=1", corpus),
        cwd=out,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert f" {seeds} files found in {corpus}" in ended.stderr
    assert "Done 5000 runs" in ended.stderr
