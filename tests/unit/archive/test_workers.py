"""A worker process whose parent has ended."""

import multiprocessing

import pytest

pytest.importorskip("pyarrow")
from nitro_attest.archive.workers import _work


@pytest.mark.parametrize("unread", [(), ("a result",)], ids=["closed", "reset"])
def test_a_worker_whose_parent_has_ended_ends_without_an_error(unread):
    parent, worker = multiprocessing.Pipe()
    for result in unread:  # a connection that is closed before all is read is reset
        worker.send(result)
    parent.close()
    _work(worker, task=None)
