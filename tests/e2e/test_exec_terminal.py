"""`countersign exec` on a terminal, and as the first process of a container."""

import contextlib
import os
import pathlib
import pty
import shlex
import signal
import subprocess
import sys

from executions import Child, Execution, handles, is_running
from test_exec import FILE
from waiting import until

SHELL = ["bash", "--norc", "--noprofile", "-i"]


class Terminal:
    """A shell with job control on a terminal of its own, as a context."""

    def __init__(self, environment):
        self.environment = environment | {"PS1": "$ ", "TERM": "dumb"}

    def __enter__(self):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvpe(SHELL[0], SHELL, self.environment)
        return self

    def __exit__(self, *raised):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.master)

    def type(self, text):
        os.write(self.master, text.encode())

    def foreground(self):
        """The process group that keys are for."""
        return os.tcgetpgrp(self.master)


def state(pid):
    """T of a process that is stopped."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def on_a_terminal(run):
    """The command with its environment, for a shell to run."""
    return Terminal(run.environment), shlex.join(run.command) + f"; echo $? >{run.folder}/code\n"


def code(run):
    """What the shell says that it ended with."""
    path = run.folder / "code"
    return int(until(lambda: path.exists() and path.read_text()))


def test_a_key_that_interrupts_reaches_the_program_once(cli, memory):
    run = Execution(cli, memory, child=Child(memory), items=FILE)
    terminal, line = on_a_terminal(run)
    with terminal:
        terminal.type(line)
        began = run.child.wait_for("started")
        for key, name in (("\x03", "SIGINT"), ("\x1c", "SIGQUIT")):
            terminal.type(key)
            run.child.wait_for(name)
        # What the supervisor is sent by itself it passes on. This comes behind whatever it made of the keys.
        os.kill(began["parent"], signal.SIGUSR1)
        run.child.wait_for("SIGUSR1")
        assert run.child.names == ["started", "SIGINT", "SIGQUIT", "SIGUSR1"]
        os.kill(began["parent"], signal.SIGTERM)
        assert code(run) == 42


def test_a_job_can_be_stopped_and_go_on(cli, memory):
    run = Execution(cli, memory, child=Child(memory), items=FILE)
    terminal, line = on_a_terminal(run)
    with terminal:
        terminal.type(line)
        began = run.child.wait_for("started")
        pids = began["pid"], began["parent"]
        terminal.type("\x1a")
        until(lambda: [state(pid) for pid in pids] == ["T", "T"], what="both are stopped")
        until(lambda: terminal.foreground() == os.getpgid(terminal.pid), what="the shell has the terminal")
        terminal.type("fg\n")
        run.child.wait_for("SIGCONT")
        until(lambda: "T" not in [state(pid) for pid in pids])
        terminal.type("\x03")
        run.child.wait_for("SIGINT")
        assert run.child.names.count("SIGINT") == 1
        os.kill(began["parent"], signal.SIGTERM)
        until(lambda: not any(is_running(pid) for pid in pids))


def test_a_program_on_a_terminal_reads_from_it(cli, memory):
    run = Execution(cli, memory, "sh", "-c", f"read line; echo $line >{memory}/read", items=FILE)
    terminal, line = on_a_terminal(run)
    with terminal:
        terminal.type(line)
        until(lambda: run.path("db").exists())
        terminal.type("typed\n")
        assert code(run) == 0
        assert (memory / "read").read_text() == "typed\n"


# Not everybody may make namespaces; scripts/test says aloud where this is not tried.
NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0:

    @contextlib.contextmanager
    def as_first_process(run):
        """The command as PID 1, as in a container. Gives its PID out here."""
        run.command = [*NAMESPACE, *run.command]
        with run:
            children = pathlib.Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children")
            [first] = until(lambda: children.read_text().split())
            yield int(first)

    # Makes orphans that end at once, and tells what is left of them.
    ORPHANS = """
import os, pathlib, subprocess, time
for _ in range(20):
    subprocess.run(["sh", "-c", "(sleep 0.01; exit 7) & exit 0"], check=True)
def left():
    states = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            states.append(path.read_text().rsplit(")", 1)[1].split()[0])
        except OSError:
            pass
    return states
deadline = time.monotonic() + 10
while (len(left()) > 2 or "Z" in left()) and time.monotonic() < deadline:
    time.sleep(0.01)
print(os.getppid(), len(left()), "Z" in left())
"""

    def test_as_the_first_process_it_reaps_orphans(cli, memory):
        run = Execution(cli, memory, sys.executable, "-c", ORPHANS, items=FILE)
        with as_first_process(run):
            assert run.output() == (0, b"1 2 False\n"), "of a container's two processes"

    def test_as_the_first_process_it_is_not_deaf(cli, memory):
        run = Execution(cli, memory, child=Child(memory), items=FILE)
        with as_first_process(run) as first:
            run.child.wait_for("started")
            os.kill(first, signal.SIGTERM)
            assert run.end() == 42

    def test_as_the_first_process_it_ends_before_there_is_a_program(cli, memory):
        cli.pull()
        # Nobody listens there.
        run = Execution(cli, memory, child=Child(memory), items=FILE, url="http://127.0.0.1:1")
        with as_first_process(run) as first:
            until(lambda: handles(first, signal.SIGTERM))
            os.kill(first, signal.SIGTERM)
            assert run.end() == 128 + signal.SIGTERM
            assert run.child.events == []
