"""What the client makes of AWS credentials: profiles, and a way into the console."""

import configparser
import http.server
import json
import stat
import threading
import urllib.parse

import boto3
import pytest


@pytest.fixture
def home(tmp_path):
    """A home whose profiles the client and an AWS SDK read, and no others."""
    (tmp_path / "home/.aws").mkdir(parents=True)
    return tmp_path / "home"


def configured(cli, home, *arguments):
    return cli.run("configure", *arguments, HOME=str(home), AWS_SHARED_CREDENTIALS_FILE=None, AWS_CONFIG_FILE=None)


def profile(home, name, file="credentials"):
    parser = configparser.RawConfigParser()
    parser.read(home / ".aws" / file)
    return dict(parser[name])


def test_a_secret_becomes_a_profile_beside_those_that_are_there(cli, home, stack):
    boto3.client("secretsmanager").create_secret(Name="app/ci/aws", SecretString="AKIAEXAMPLE,abc/def+ghi\n")
    credentials = home / ".aws/credentials"
    credentials.write_text("# mine\n[default]\naws_access_key_id = AKIAMINE\n\n[ci]\naws_session_token = old\n")
    cli.pull()
    done = configured(cli, home, "--profile", "ci", "--region", "eu-west-1", "app/ci/aws")
    assert done.returncode == 0, done.stderr
    assert "abc/def+ghi" not in (done.stdout + done.stderr).decode()
    assert profile(home, "ci") == {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "abc/def+ghi"}
    assert profile(home, "default") == {"aws_access_key_id": "AKIAMINE"}
    assert profile(home, "profile ci", "config") == {"region": "eu-west-1"}
    assert credentials.read_text().startswith("# mine\n")
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600


def test_a_roles_credentials_become_a_profile_that_an_sdk_uses(cli, home, monkeypatch):
    cli.pull()
    done = configured(cli, home, "--profile", "nightly", "--role", "deploy")
    assert done.returncode == 0, done.stderr
    assert "aws_session_token" in profile(home, "nightly")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / ".aws/credentials"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    session = boto3.Session(profile_name="nightly")
    assert ":assumed-role/deploy/web@" in session.client("sts").get_caller_identity()["Arn"]


def test_what_is_no_access_key_changes_nothing(cli, home):
    cli.pull()
    done = configured(cli, home, "app/db")
    assert done.returncode == 1 and "does not hold an access key" in done.stderr.decode()
    assert not (home / ".aws/credentials").exists()
    assert configured(cli, home).returncode == 2
    assert configured(cli, home, "--role", "deploy", "app/db").returncode == 2
    assert configured(cli, home, "--profile", "a]\n[b", "app/db").returncode == 2


@pytest.fixture
def federation():
    """A stand-in for the federation endpoint, and what it was asked."""
    asked = []

    class Endpoint(http.server.BaseHTTPRequestHandler):
        answer = (200, {"SigninToken": "token&of/the session"})

        def do_GET(self):
            asked.append(urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query))
            status, answer = self.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/federation", asked, Endpoint
    server.shutdown()


def test_the_console_is_opened_with_the_roles_credentials(cli, federation):
    url, asked, _ = federation
    cli.pull()
    destination = "https://eu-west-1.console.aws.amazon.com/s3/buckets?a=b&c=d"
    done = cli.run("console-url", "--role", "deploy", "--destination", destination, COUNTERSIGN_FEDERATION_URL=url)
    assert done.returncode == 0, done.stderr
    [question] = asked
    assert question["Action"] == ["getSigninToken"] and "SessionDuration" not in question
    session = json.loads(question["Session"][0])
    sts = boto3.client(
        "sts", aws_access_key_id=session["sessionId"], aws_secret_access_key=session["sessionKey"],
        aws_session_token=session["sessionToken"])
    assert ":assumed-role/deploy/web@" in sts.get_caller_identity()["Arn"]
    endpoint, _, query = done.stdout.decode().partition("?")
    assert endpoint == url
    assert urllib.parse.parse_qs(query) == {
        "Action": ["login"], "Issuer": ["countersign"], "Destination": [destination],
        "SigninToken": ["token&of/the session"]}


@pytest.mark.parametrize("status, answer", [(400, {}), (200, {}), (302, {})])
def test_no_credentials_are_shown_where_there_is_no_token(cli, federation, status, answer):
    url, asked, endpoint = federation
    endpoint.answer = (status, answer)
    cli.pull()
    done = cli.run("console-url", "--role", "deploy", COUNTERSIGN_FEDERATION_URL=url)
    session = json.loads(asked[0]["Session"][0])
    assert done.returncode == 1 and done.stdout == b""
    assert not any(part in done.stderr.decode() for part in session.values())


def test_a_federation_endpoint_that_is_not_there_is_named_without_the_credentials(cli):
    cli.pull()
    done = cli.run("console-url", "--role", "deploy", COUNTERSIGN_FEDERATION_URL="http://127.0.0.1:1/federation")
    assert done.returncode == 7 and "Session=" not in done.stderr.decode()
    done = cli.run("console-url", "--role", "deploy", COUNTERSIGN_FEDERATION_URL="http://signin.example.com/")
    assert done.returncode == 2
