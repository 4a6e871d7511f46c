"""`countersign token`, with OpenSSH's agent, against the deployed stack."""

import http.server
import json
import os
import pathlib
import stat
import subprocess
import threading
import time

import boto3
import pytest

import ssh
import token_client
from stack import STACK
from test_token import accepted


class Token:
    """The command with a state folder of its own, and no material."""

    def __init__(self, cli, state, url):
        self.cli, self.state, self.url = cli, state, url

    def run(self, command, *args, **changes):
        settings = {"XDG_STATE_HOME": str(self.state), "COUNTERSIGN_GROUP": None, "COUNTERSIGN_MATERIAL": None}
        url = [] if command == "issue" else ["--url", self.url]
        done = self.cli.run("token", command, *url, *args, **settings | {"SSH_AUTH_SOCK": None} | changes)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def get(self, *args, **changes):
        code, token, said = self.run("get", *args, **changes)
        assert code == 0, said
        return token


@pytest.fixture
def token(cli, stack, tmp_path):
    return Token(cli, tmp_path / "state", stack.url)


@pytest.mark.parametrize("kind", ssh.KINDS)
def test_each_kind_of_key_gets_a_token(stack, known_keys, agent, token, kind):
    got = token.get("--key", known_keys[kind].fingerprint, **agent.env)
    assert token_client.claims(stack, got)[1]["sub"] == known_keys[kind].fingerprint
    assert accepted(stack, got) and not accepted(stack, got, "192.0.2.9")
    assert token.run("verify", "--at-issuer") == (0, "valid, says the issuer, for the address that it sees this machine at\n", "")


def test_the_key_that_the_issuer_knows_is_found_in_the_agent(stack, known_keys, token, tmp_path):
    with ssh.Agent() as agent:
        for key in (ssh.make_key(tmp_path, "ed25519-sk"), ssh.make_key(tmp_path, "ecdsa-384"), known_keys["rsa"]):
            agent.add(key)
        assert token_client.claims(stack, token.get(**agent.env))[1]["sub"] == known_keys["rsa"].fingerprint


def test_keys_that_nobody_knows_are_listed(token, tmp_path):
    with ssh.Agent() as agent:
        keys = [ssh.make_key(tmp_path, kind, comment=f"my {kind}") for kind in ("ed25519", "ed25519-sk")]
        for key in keys:
            agent.add(key)
        code, out, said = token.run("get", **agent.env)
        assert (code, out) == (4, "") and "ssh-keys/" in said.split("hint: ")[1]
        for key in keys:
            assert f"{key.fingerprint} {key.public.split()[0]} {key.comment}" in said
        code, _, said = token.run("get", "--key", keys[0].fingerprint, **agent.env)
        assert code == 4 and keys[0].fingerprint in said and "request id" in said
        missing = "SHA256:" + "A" * 43
        code, _, said = token.run("get", "--key", missing, **agent.env)
        assert code == 3 and keys[1].fingerprint in said


def test_a_key_that_policy_denies_ends_with_its_code(stack, agent, token, tmp_path):
    key = ssh.make_key(tmp_path, "ed25519")
    agent.add(key)
    stack.put_keys(key.public, "denied.pub")
    stack.restart("token")
    code, _, said = token.run("get", "--key", key.fingerprint, **agent.env)
    assert code == 5 and "hint: a policy" in said


def test_without_an_agent_it_says_what_to_do(token):
    code, _, said = token.run("get")
    assert code == 3 and "SSH_AUTH_SOCK" in said and "hint: " in said
    code, _, said = token.run("get", SSH_AUTH_SOCK="/nonexistent")
    assert code == 3 and "hint: " in said
    with ssh.Agent() as empty:
        code, _, said = token.run("get", **empty.env)
    assert code == 3 and "ssh-add" in said


def test_a_token_is_kept_for_its_owner_alone_and_used_again(stack, known_key, token):
    agent, key = known_key
    first = token.get(**agent.env)
    # Without an agent: nothing is asked for.
    assert token.get() == first
    assert token.get("--header") == f"Authorization: Bearer {first}"
    assert token.get("--fresh", **agent.env) != first
    folder = token.state / "countersign/tokens"
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        path.chmod(0o644)
    assert token.run("get")[0] == 3, "what others could read is not used"
    for path in kept:
        path.chmod(0o600)
        path.write_text("garbage")
    assert token.get(**agent.env)


def test_a_token_is_renewed_before_its_end(stack, agent, token, tmp_path):
    key = ssh.make_key(tmp_path, "ed25519")
    agent.add(key)
    stack.put_keys(key.public, "short.pub")
    stack.put_policy('@ttl("24s") permit (principal in KeyFile::"short", action == Action::"token:issue", resource);', "sh.cedar")
    stack.restart("token")
    named = ("--key", key.fingerprint)
    first = token.get(*named, **agent.env)
    assert token.get(*named, **agent.env) == first
    # Half of its life, and a second.
    time.sleep(max(0, token_client.claims(stack, first)[1]["exp"] - 11 - time.time()))
    assert token.get(*named, **agent.env) != first and accepted(stack, first)


def test_show_tells_what_a_token_says_and_verifies_nothing(stack, known_key, token):
    agent, key = known_key
    got = token.get(**agent.env)
    code, shown, _ = token.run("show")
    assert code == 0 and key.fingerprint in shown and "127.0.0.1/32" in shown and "things:read" in shown
    assert "verified" in shown
    code, shown, _ = token.run("show", "--json", got)
    assert json.loads(shown) == token_client.claims(stack, got)[1]
    assert token.run("show", "garbage")[0] == 2


def test_verify_works_offline_with_stored_keys(stack, known_key, token):
    agent, _ = known_key
    got = token.get(**agent.env)
    code, _, said = token.run("verify")
    assert code == 3 and "countersign token keys" in said
    code, kids, _ = token.run("keys")
    assert code == 0 and kids.split() == [key.kid for key in token_client.keys(stack).keys]
    assert json.loads(token.run("keys", "--json")[1]) == json.loads(stack.http("GET", "/.well-known/jwks.json")[2])
    code, out, _ = token.run("verify")
    assert code == 0 and "not checked" in out
    assert token.run("verify", "--address", "127.0.0.1")[0] == 0
    code, _, said = token.run("verify", "--address", "192.0.2.1")
    assert code == 4 and "wrong_network" in said
    head, body, signature = got.split(".")
    code, _, said = token.run("verify", f"{head}.{body}.{('B' if signature[0] == 'A' else 'A') + signature[1:]}")
    assert code == 4 and "wrong_signature" in said
    assert token.run("verify", "--at-issuer", f"{head}.{body}.{signature[::-1]}")[0] == 4


def test_an_operator_issues_a_network_token(stack, token):
    iam = boto3.client("iam")
    identities = {}
    for name in ("may-issue", "may-not-issue"):
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        identities[name] = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    arn = stack.lambda_.get_function_configuration(FunctionName=f"{STACK}-issue")["FunctionArn"]
    statement = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn}
    iam.put_user_policy(UserName="may-issue", PolicyName="issue", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [statement]}))
    order = ["--stack", STACK, "--network", "10.0.0.0/16", "--ttl", "7d", "--scope", "jobs:run"]
    code, issued, said = token.run("issue", *order, **identities["may-issue"])
    assert code == 0, said
    claims = token_client.claims(stack, issued)[1]
    assert (claims["sub"], claims["ipn"], claims["scope"]) == ("network:10.0.0.0/16", "10.0.0.0/16", "jobs:run")
    assert claims["exp"] - claims["iat"] == 7 * 86400 and accepted(stack, issued, "10.0.9.9")
    code, _, said = token.run("issue", *order, **identities["may-not-issue"])
    assert code == 5 and f"lambda:InvokeFunction on {STACK}-issue" in said
    code, _, said = token.run("issue", *order, "--ttl", "8d", **identities["may-issue"])
    assert code == 2
    for args, word in ((["--network", "10.0.0.1/16"], "10.0.0.0/16"), (["--network", "10.0.0.0"], "ADDRESS/LENGTH")):
        code, _, said = token.run("issue", "--stack", STACK, "--ttl", "1h", *args)
        assert code == 2 and word in said
    code, _, said = token.run("issue", "--stack", STACK, "--network", "10.0.0.0/16", "--ttl", "30d")
    assert code == 2 and "604800" in said
    code, _, said = token.run("issue", "--stack", "nothing", "--network", "10.0.0.0/16", "--ttl", "1h")
    assert code == 6


def test_a_container_gets_its_groups_token(cli, stack, tmp_path):
    cli.pull()
    state = {"XDG_STATE_HOME": str(tmp_path / "state"), "SSH_AUTH_SOCK": None}
    done = cli.run("token", "get", **state)
    assert done.returncode == 0, done.stderr
    got = done.stdout.decode()
    assert token_client.claims(stack, got)[1]["sub"] == "group:web" and accepted(stack, got)
    assert cli.run("token", "get", **state).stdout.decode() == got


def test_a_token_does_not_travel_in_the_clear(cli, agent, tmp_path):
    settings = {"XDG_STATE_HOME": str(tmp_path), "COUNTERSIGN_GROUP": None}
    done = cli.run("token", "get", "--url", "http://broker.example.com", **settings, **agent.env)
    assert done.returncode == 2 and b"https" in done.stderr


class Relay(http.server.BaseHTTPRequestHandler):
    """An issuer that passes requests on to another one, with that one's keys for its own."""

    def do_GET(self):
        status, headers, text = self.server.stack.http("GET", self.path)
        self.server.asked.append(self.path.split("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", headers["Content-Type"])
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


def test_a_key_does_not_sign_for_an_issuer_behind_the_one_that_was_asked(cli, stack, known_key, tmp_path):
    agent, _ = known_key
    name = f"{STACK}-token"
    variables = stack.lambda_.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    stack.lambda_.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables | {"BROKER_URL": "https://broker.example.com"}})
    settings = {"XDG_STATE_HOME": str(tmp_path), "COUNTERSIGN_GROUP": None}
    try:
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
            server.stack, server.asked = stack, []
            threading.Thread(target=server.serve_forever, daemon=True).start()
            done = cli.run("token", "get", "--url", f"http://127.0.0.1:{server.server_port}", **settings, **agent.env)
            server.shutdown()
    finally:
        stack.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    assert done.returncode == 8 and b"of the issuer at broker.example.com" in done.stderr, done.stderr
    assert server.asked == ["/.well-known/jwks.json", "/nonce"], "nothing was signed and sent"


def test_put_ssh_keys_refuses_what_the_broker_would(stack, known_keys, tmp_path):
    script = pathlib.Path(__file__).parent.parent.parent / "scripts/put-ssh-keys"

    def put(name, text):
        path = tmp_path / name
        path.write_text(text)
        return subprocess.run([script, path], capture_output=True, text=True, timeout=300)

    key = ssh.make_key(tmp_path, "ed25519", comment="bob")
    done = put("put.pub", key.public)
    assert done.returncode == 0 and f"{key.fingerprint} put ssh-ed25519 bob" in done.stdout, done.stderr
    assert put("put.pub", f"# again\n{key.public}").returncode == 0
    for name, text, said in (
        ("again.pub", known_keys["rsa"].public, "a key stands twice"),
        ("option.pub", f'from="*" {key.public}', "an option other than"),
        ("control.pub", f"{key.public}\x1b[2K", "a control character"),
        ("keys.txt", key.public, "not a .pub file"),
    ):
        done = put(name, text)
        assert done.returncode != 0 and said in done.stderr, (name, done.stderr)
        listed = stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix=f"ssh-keys/{name}")
        assert listed["KeyCount"] == 0


def test_an_unreachable_issuer_has_its_code(cli, agent, tmp_path):
    settings = {"XDG_STATE_HOME": str(tmp_path), "COUNTERSIGN_GROUP": None}
    done = cli.run("token", "get", "--url", "http://127.0.0.1:1", "--timeout", "20", **settings, **agent.env)
    assert done.returncode == 7 and b"hint: " in done.stderr
    assert not os.path.exists(tmp_path / "countersign/tokens") or not any((tmp_path / "countersign/tokens").iterdir())
