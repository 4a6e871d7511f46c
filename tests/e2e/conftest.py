"""The deployed stack of the environment, with the secrets, roles and policies that the tests expect."""

import json
import os
import subprocess

import boto3
import pytest

import ssh
from provisioning import built, factory  # noqa: F401, fixtures
from registry import npm, registry  # noqa: F401, fixtures
from stack import Stack

POLICY = """
permit (principal == Group::"web", action == Action::"secret:read", resource in Path::"app")
when { context.wire == "v2" };
permit (principal == Group::"batch", action == Action::"secret:read", resource in Path::"app")
when { context.wire == "v1" };
permit (principal == Group::"web", action == Action::"aws:assume", resource == Role::"deploy");
@ttl("10m") @scope("things:read")
permit (principal == Group::"web", action == Action::"token:issue", resource == Subject::"group:web");
@ttl("20m") @scope("things:read things:write")
permit (principal in KeyFile::"ops", action == Action::"token:issue", resource);
forbid (principal, action, resource in Path::"app/admin");
"""


@pytest.fixture(scope="session")
def stack():
    made = Stack()
    iam = boto3.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": made.outputs["ExchangeRoleArn"]}, "Action": "sts:AssumeRole"}
        ],
    }
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
    iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName="deploy", PolicyName="may", PolicyDocument=json.dumps(may))
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name="app/db", SecretString="correct horse battery staple")
    secrets.create_secret(Name="app/keystore", SecretBinary=bytes(range(256)))
    secrets.create_secret(Name="app/admin/codes", SecretString="not for web")
    secrets.create_secret(Name="ops/root", SecretString="not for web either")
    made.put_policy(POLICY)
    # The third generation is the first that ends a pool.
    for _ in range(3):
        made.rotate()
    return made


@pytest.fixture(scope="session")
def agent():
    with ssh.Agent() as started:
        yield started


@pytest.fixture(scope="session")
def known_keys(stack, agent, tmp_path_factory):
    """A key of each kind, in OpenSSH's agent and known to the broker, by kind."""
    folder = tmp_path_factory.mktemp("keys")
    made = {kind: ssh.make_key(folder, kind) for kind in ssh.KINDS}
    for key in made.values():
        agent.add(key)
    stack.put_keys("".join(f"{key.public}\n" for key in made.values()))
    stack.restart("token")
    return made


@pytest.fixture(scope="session")
def known_key(agent, known_keys):
    """The agent and a key in it that the broker knows."""
    return agent, known_keys["ed25519"]


class Cli:
    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder

    def run(self, *args, **changes):
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")
        } | {"COUNTERSIGN_MATERIAL": str(self.folder), "COUNTERSIGN_GROUP": "web"} | changes
        environment = {name: value for name, value in environment.items() if value is not None}
        command = [os.environ["COUNTERSIGN_BIN"], *args]
        return subprocess.run(command, env=environment, capture_output=True, timeout=90)

    def pull(self, **changes):
        done = self.run("pull", "--from", f"s3://{self.stack.bucket}", **changes)
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def cli(stack, tmp_path):
    return Cli(stack, tmp_path / "material")
