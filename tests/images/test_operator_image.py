"""The operator's image, with a local AWS of its own."""

import pathlib
import socket
import subprocess

import boto3
import botocore.exceptions
import pytest

from conftest import aws, run

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture
def elsewhere():
    """The settings that lead to a fresh local AWS."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    subprocess.run([ROOT / "local/start", port], check=True, stdout=subprocess.DEVNULL)
    yield aws() | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    subprocess.run([ROOT / "local/stop", port], check=True)


def operate(action, **variables):
    return run("operator", options=["--tmpfs", "/tmp"], ACTION=action, **variables)


def script(name, *args, options=(), **variables):
    options = ["--interactive", "--tmpfs", "/tmp", "--entrypoint", f"scripts/{name}", *options]
    return run("operator", *args, options=options, **variables)


def test_it_deploys_tests_rotates_and_destroys(elsewhere, tmp_path):
    settings = elsewhere | {"STACK_NAME": "elsewhere", "LOCAL_ENDPOINT_URL": elsewhere["AWS_ENDPOINT_URL"]}
    done = operate("deploy", CLIENT_GROUPS="edge,web", KEY_BITS="2048", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    endpoint = {"endpoint_url": elsewhere["AWS_ENDPOINT_URL"]}
    [stack] = boto3.client("cloudformation", **endpoint).describe_stacks(StackName="elsewhere")["Stacks"]
    assert {"ParameterKey": "Groups", "ParameterValue": "edge,web"} in stack["Parameters"]

    # Deploying made the first keys.
    done = operate("test", **settings)
    assert done.returncode == 0 and "PASSED: stack elsewhere" in done.stdout, done.stdout + done.stderr
    done = operate("test", CLIENT_GROUP="nobody", **settings)
    assert done.returncode == 1 and "FAILED: stack elsewhere" in done.stdout, done.stdout + done.stderr
    done = operate("rotate-keys", **settings)
    assert done.returncode == 0 and '"new_server_key": true' in done.stdout, done.stdout + done.stderr
    done = operate("test", **settings)
    assert done.returncode == 0 and "PASSED: stack elsewhere" in done.stdout, done.stdout + done.stderr
    assert "material of group edge" in done.stdout

    done = script("store-secret", "app/seen", input="not to be seen", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    done = operate("test", SMOKE_SECRET="app/seen", **settings)
    assert done.returncode == 1 and "ended with exit code 5" in done.stderr, done.stdout + done.stderr
    (tmp_path / "web.cedar").write_text('permit (principal == Group::"web", action, resource == Secret::"app/seen");')
    tmp_path.chmod(0o755)
    done = script("put-policy", "/policies/web.cedar", options=["-v", f"{tmp_path}:/policies:ro"], **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    done = script("put-template", "/examples/sensor.json", options=["-v", f"{ROOT}/docs/examples:/examples:ro"], **settings)
    assert done.returncode == 0 and "put templates/sensor.json" in done.stdout, done.stdout + done.stderr
    done = script(
        "put-subjects", "/examples/subjects.json", options=["-v", f"{ROOT}/docs/examples/enrolment:/examples:ro"], **settings)
    assert done.returncode == 0 and "put subjects/subjects.json" in done.stdout, done.stdout + done.stderr
    # A new deployment knows the policy at once.
    assert operate("deploy", LOG_LEVEL="debug", **settings).returncode == 0
    done = operate("test", SMOKE_SECRET="app/seen", CLIENT_GROUP="web", **settings)
    assert done.returncode == 0 and "received app/seen" in done.stdout, done.stdout + done.stderr
    assert "not to be seen" not in done.stdout + done.stderr

    done = operate("destroy", **settings)
    assert done.returncode == 0 and "deleted elsewhere" in done.stdout, done.stdout + done.stderr
    with pytest.raises(botocore.exceptions.ClientError):
        boto3.client("cloudformation", **endpoint).describe_stacks(StackName="elsewhere")


def test_an_action_that_it_does_not_know_is_refused_with_those_that_it_knows():
    done = run("operator", ACTION="delete")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: ACTION must be deploy, test, rotate-keys or destroy\n"


def test_scripts_and_client_are_at_hand_and_nothing_else_of_the_project():
    done = run("operator", "-c", "id -u && countersign --version && check-policy && check-templates && ls -A . scripts",
               options=["--entrypoint", "bash"])
    assert done.returncode == 0, done.stderr
    user, version, valid, *files = done.stdout.splitlines()
    assert (user, version.split()[0], valid) == ("65532", "countersign", "0 policies are valid")
    assert files == [
        ".:", ".aws-sam", ".tools", "local", "samconfig.toml", "scripts", "", "scripts:", "create-user", "delete-user",
        "deploy", "destroy", "lib.sh", "publish-keys-npm", "put-policy", "put-ssh-keys", "put-subjects", "put-template", "rotate-keys",
        "smoke", "store-secret"]
