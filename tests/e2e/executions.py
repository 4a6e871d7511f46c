"""A `countersign exec` and the program that it started."""

import json
import os
import pathlib
import sys

from staying import Staying
from waiting import until


def handles(pid, number):
    """Whether a process has a handler for a signal."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1


class Child:
    """child_program.py, as the command of `exec`."""

    def __init__(self, memory, watched="", deaf=""):
        self.told = memory / "told"
        script = pathlib.Path(__file__).parent / "child_program.py"
        self.command = [sys.executable, str(script), str(self.told), str(watched), deaf]

    @property
    def events(self):
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def names(self):
        return [event["event"] for event in self.events]

    def wait_for(self, name, times=1, within=20):
        """The last event of this name, once there are so many."""
        until(lambda: self.names.count(name) >= times, within, lambda: f"{times} {name}: {self.events}")
        return [event for event in self.events if event["event"] == name][-1]


class Execution(Staying):
    """A context in which `exec` runs a command; `child` where it is given, or these words."""

    def __init__(self, cli, memory, *words, child=None, child_settings=None, options=(), **config):
        self.child = child
        command = child.command if child else words
        super().__init__(cli, memory, "exec", *options, "--", *command, child=child_settings or {}, **config)

    def output(self, within=20):
        """Exit code and standard output, at its end."""
        output = self.process.stdout.read()
        return self.end(within), output


def is_running(pid):
    """Whether there is such a process, and it is no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def program_of(pid):
    """The file that a process runs; None where it is gone."""
    try:
        return os.path.realpath(os.readlink(f"/proc/{pid}/exe"))
    except (FileNotFoundError, ProcessLookupError):
        return None
