"""A command that stays, `countersign agent` or `countersign exec`: its configuration, its log, its end."""

import json
import os
import signal
import subprocess

import secret
from waiting import until

# Rounds that a test can wait for.
QUICK = {"interval": "1s", "min_interval": "200ms", "max_backoff": "1s"}


def toml(table, path=()):
    """A configuration in TOML."""
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in plain.items()]
    for name, value in table.items():
        if isinstance(value, dict):
            lines += [f"[{'.'.join((*path, name))}]", toml(value, (*path, name))]
    return "\n".join(lines)


class Staying:
    """A context in which the command runs. At its end no secret may stand in its log."""

    def __init__(self, cli, memory, *arguments, changes=None, input=None, **config):
        """`config` are the members of the configuration, besides those that every test has; None leaves out one of them."""
        self.cli, self.runtime, self.folder = cli, memory / "runtime", memory
        config = {
            "from": f"s3://{cli.stack.bucket}", "runtime": str(self.runtime), "refresh": QUICK,
        } | config
        config = {name: value for name, value in config.items() if value is not None}
        self.config_path, self.log_path = memory / "countersign.toml", memory / "log"
        self.config_path.write_text(toml(config))
        self.command = [os.environ["COUNTERSIGN_BIN"], *arguments]
        self.environment = cli.environment(**{"COUNTERSIGN_CONFIG": str(self.config_path)} | (changes or {}))
        self.input = input
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def start(self):
        self.log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=self.input or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)

    def __exit__(self, *raised):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self.log.close()
        assert secret.leaked(self.log_path.read_bytes()) == []

    def end(self, within=20):
        """Its exit code."""
        return self.process.wait(within)

    def stop(self, number=signal.SIGTERM):
        """Asks it to end; gives its exit code."""
        self.process.send_signal(number)
        return self.end()

    @property
    def logged(self):
        """The lines of its log, as objects; a line that is none is its own message."""
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) if line.startswith("{") else {"message": line} for line in lines]

    def messages(self, part, since=0):
        return [line for line in self.logged[since:] if part in line.get("message", "")]

    def path(self, name):
        """Of a file that it writes."""
        return self.runtime / name

    def holds(self, name, value, within=20):
        """Waits until a file holds a value."""
        value = value.encode() if isinstance(value, str) else value
        path = self.path(name)
        until(lambda: path.exists() and path.read_bytes() == value, within, f"the value in {name}")
