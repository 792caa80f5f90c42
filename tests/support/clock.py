"""A clock that a test sets."""


class Clock:
    """Returns ``now``."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now
