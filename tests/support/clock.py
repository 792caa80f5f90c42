"""Time in tests: a clock that a test sets, and a limit that no passing test reaches."""

PATIENT = 300.0
"""Seconds until a test fails that waits for something, on however busy a machine."""


class Clock:
    """Returns ``now``."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now
