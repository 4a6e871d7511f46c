"""The deployed stack of the environment, with the secrets, roles and policies that the tests expect."""

import json
import pathlib
import tempfile

import boto3
import pytest

import ssh
from command import Cli
from enrolment import either, enrolling, enrolment  # noqa: F401, fixtures
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
    # The broker, and who runs it off Lambda.
    principals = [made.outputs["ExchangeRoleArn"], boto3.client("sts").get_caller_identity()["Arn"]]
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole"}],
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


@pytest.fixture
def cli(stack, tmp_path):
    return Cli(stack, tmp_path / "material")


def in_memory():
    """A folder that is on no disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield pathlib.Path(folder)


memory = pytest.fixture(in_memory)
long_memory = pytest.fixture(in_memory, scope="session")


def pytest_configure(config):
    config.addinivalue_line("markers", "first: runs before all others")
    config.addinivalue_line("markers", "last: runs after all others")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: bool(item.get_closest_marker("last")) - bool(item.get_closest_marker("first")))


@pytest.fixture(scope="session")
def whole_run(request):
    """Whether every file of this folder takes part."""
    files = set(pathlib.Path(__file__).parent.glob("test_*.py"))
    return files <= {item.path for item in request.session.items}
