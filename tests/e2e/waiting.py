"""Waiting for what has to happen, and no longer."""

import time


def until(holds, within=20, what=""):
    """What `holds` gives once it is true. Where that takes too long the test fails with `what`, a text or what makes one."""
    deadline = time.monotonic() + within
    while True:
        given = holds()
        if given:
            return given
        assert time.monotonic() < deadline, f"not within {within} s: {what() if callable(what) else what}"
        time.sleep(0.02)


def room(window, seconds=30):
    """Waits for the next window, where less than this is left of the one that is now: they begin at multiples of their length."""
    left = window - time.time() % window
    if left < seconds:
        time.sleep(left)
