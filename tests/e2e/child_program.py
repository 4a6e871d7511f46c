"""A program that tells what happens to it, in a line of JSON each: that it started, and the signals that it is sent, with what
a file holds then. At TERM it ends with 42, or not at all where it is told to be deaf.

usage: child_program.py LOG [FILE] [deaf]
"""

import json
import os
import signal
import sys

told, watched, deaf = sys.argv[1], *(*sys.argv[2:], "", "")[:2]


def tell(event):
    # A file that is withdrawn is not there.
    file = open(watched).read() if watched and os.path.exists(watched) else None
    line = {"event": event, "pid": os.getpid(), "parent": os.getppid(), "value": os.environ.get("VALUE"), "file": file}
    with open(told, "a") as log:
        print(json.dumps(line), file=log)


def handle(number, _):
    tell(signal.Signals(number).name)
    if number == signal.SIGTERM and not deaf:
        sys.exit(42)


for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT"):
    signal.signal(getattr(signal, f"SIG{name}"), handle)
tell("started")
while True:
    signal.pause()
