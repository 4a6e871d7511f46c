"""The command, with material of its own."""

import os
import subprocess


class Cli:
    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder

    def environment(self, **changes):
        """Its variables; None leaves one out."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")
        } | {"COUNTERSIGN_MATERIAL": str(self.folder), "COUNTERSIGN_GROUP": "web"} | changes
        return {name: value for name, value in environment.items() if value is not None}

    def run(self, *args, input=None, **changes):
        command = [os.environ["COUNTERSIGN_BIN"], *args]
        return subprocess.run(command, input=input, env=self.environment(**changes), capture_output=True, timeout=90)

    def start(self, *args, stdout=subprocess.PIPE, **changes):
        """The command, running, with pipes for its streams."""
        command = [os.environ["COUNTERSIGN_BIN"], *map(str, args)]
        streams = {"stdin": subprocess.PIPE, "stdout": stdout, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=self.environment(**changes), **streams)

    def pull(self, **changes):
        done = self.run("pull", "--from", f"s3://{self.stack.bucket}", **changes)
        assert done.returncode == 0, done.stderr.decode()
