"""An audit that is killed, interrupted, or out of space: no row is lost or doubled afterwards."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = 64

# Runs the tool, and does something to its processes when the first part is done.
SCRIPT = """
import multiprocessing, os, resource, signal, sys
from nitro_attest.__main__ import main
from nitro_attest.archive import dataset
from nitro_attest.cli import audit

done = 0

def kill_workers():
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGKILL)

def interrupt():  # as Ctrl-C does: every process of the group
    os.killpg(0, signal.SIGINT)

def kill_everything():
    kill_workers()
    os.kill(os.getpid(), signal.SIGKILL)

def kill_parent():
    os.kill(os.getpid(), signal.SIGKILL)

def fill_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

def nothing():
    pass

def show(self, rows, total, note):
    global done
    done += 1
    if done == 1:
        globals()[action]()

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the caller may ignore it
    action, *sys.argv[1:] = sys.argv[1:]
    dataset._PART_ROWS = 4
    audit.Progress.show = show
    if action == "fill_disk_first":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        action = "nothing"
    main()
"""


@pytest.fixture
def audit(tmp_path, fake, fake_document, when):
    documents = [fake_document, b"\x84"] * (ROWS // 2)
    pq.write_table(pa.table({"id": range(ROWS), "document": documents}), tmp_path / "a.parquet")
    (tmp_path / "root.pem").write_bytes(fake.root_pem)
    (tmp_path / "script.py").write_text(SCRIPT)

    def run(action, *options, stdout=subprocess.PIPE):
        return subprocess.run(
            [
                *(sys.executable, "script.py", action, "audit", "a.parquet"),
                *("--out", "results.parquet", "--id", "id", "--workers", "2"),
                *("--any-enclave", "--root", "root.pem", "--at", when.isoformat(), *options),
            ],
            cwd=tmp_path,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt is for its processes alone
        )

    return run


def check_complete(folder, done):
    assert done.returncode == 3  # of the rejected documents: cbor.truncated
    results = pq.read_table(folder / "results.parquet")
    assert results.column("id").to_pylist() == list(range(ROWS))
    assert results.column("code").to_pylist() == [None, "cbor.truncated"] * (ROWS // 2)
    assert not (folder / "results.parquet.parts").exists()


@pytest.mark.parametrize(
    ("action", "code", "message"),
    [
        ("kill_workers", 74, "ended with signal 9"),
        ("interrupt", 130, "the audit was interrupted"),
        ("fill_disk", 74, "File too large"),
        ("fill_disk_first", 74, "File too large"),
        ("kill_parent", -signal.SIGKILL, ""),
        ("kill_everything", -signal.SIGKILL, ""),
    ],
)
def test_an_audit_that_ends_early_has_no_results_and_is_resumed(
    action, code, message, audit, tmp_path
):
    done = audit(action)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    if code > 0:
        assert done.stderr.endswith("; --resume continues it\n")
    assert not (tmp_path / "results.parquet").exists()
    again = audit("nothing")
    assert again.returncode == 2
    assert "has unfinished results" in again.stderr
    check_complete(tmp_path, audit("nothing", "--resume"))


def test_a_reader_that_closes_its_pipe_changes_nothing(audit, tmp_path):
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as reader:
        reader.wait()
        done = audit("nothing", stdout=reader.stdin)
    check_complete(tmp_path, done)


def test_a_closed_stdout_is_known_after_the_results_are_written(audit, tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as stdout:
        done = audit("nothing", stdout=stdout)
    assert done.returncode == 74
    assert pq.read_table(tmp_path / "results.parquet").num_rows == ROWS
