"""`countersign device`, and the files that it leaves."""

import stat

import pytest

from authority import openssl

SUBJECT = ["--common-name", "device", "--country", "DE"]


class Devices:
    """The command with a token in a file."""

    def __init__(self, cli, factory, folder):
        self.cli, self.factory, self.folder = cli, factory, folder
        self.token = folder / "token"
        self.token.write_text(factory.things.token)

    def run(self, *args, url=None, **changes):
        settings = {"XDG_STATE_HOME": str(self.folder / "state"), "COUNTERSIGN_GROUP": None, "COUNTERSIGN_MATERIAL": None}
        options = ["--token-file", str(self.token), "--url", url or self.factory.stack.url]
        done = self.cli.run("device", *map(str, args), *options, **settings | {"SSH_AUTH_SOCK": None} | changes)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def done(self, *args, **changes):
        code, out, said = self.run(*args, **changes)
        assert code == 0, said
        return out

    def provision(self, template, name, *args, **changes):
        """The folder that a device's files are in."""
        out = self.folder / name
        self.done("provision", "--template", template, "-p", f"ThingName={name}", "--out", out, *args, **changes)
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in out.iterdir())
        return out


@pytest.fixture
def devices(cli, factory, tmp_path):
    return Devices(cli, factory, tmp_path)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def fits(folder):
    """Whether certificate and key belong together."""
    public = openssl("x509", "-in", folder / "certificate.pem", "-noout", "-pubkey")
    return public == openssl("pkey", "-in", folder / "key.pem", "-pubout")
