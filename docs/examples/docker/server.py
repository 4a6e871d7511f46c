"""A program that has what it needs: a password in a variable, a key in a file."""

import os
import pathlib
import signal
import sys

password = os.environ["DB_PASSWORD"]
key = pathlib.Path("/run/countersign/files/tls.key").read_bytes()
print(f"a password of {len(password)} letters and a key of {len(key)} bytes", flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pause()
