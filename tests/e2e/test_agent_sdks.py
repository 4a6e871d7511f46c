"""SDKs of AWS, unmodified, with credentials of a running agent or by credential_process, under IAM enforcement."""

import json
import os
import subprocess
import time

import boto3
import botocore.exceptions
import pytest

import sdks
import short_sessions
from agents import Agent
from executions import Execution
from waiting import until

ITEMS = {"aws": {"role": "deploy"}}
ASSUMED = ":assumed-role/deploy/web@"


@pytest.fixture
def agent(cli, memory):
    with Agent(cli, memory, items=ITEMS) as running:
        yield running


def by_endpoint(agent):
    return agent.environment_of_sdks()


def by_process_and_agent(agent):
    return sdks.profile(agent.folder, f"{os.environ['COUNTERSIGN_BIN']} credential-process --agent --role deploy") | {
        "COUNTERSIGN_CONFIG": str(agent.config_path)}


def by_process_and_broker(agent):
    return sdks.profile(agent.folder, f"{os.environ['COUNTERSIGN_BIN']} credential-process --role deploy") | {
        "COUNTERSIGN_GROUP": "web", "COUNTERSIGN_MATERIAL": str(agent.cli.folder)}


WAYS = pytest.mark.parametrize("way", [by_endpoint, by_process_and_agent, by_process_and_broker])


@WAYS
def test_boto3_has_the_roles_credentials(agent, memory, way):
    with sdks.Program(sdks.environment(memory, **way(agent))) as program:
        came = program.call()
    assert ASSUMED in came["arn"], came
    assert came["found_by"] == ("container-role" if way == by_endpoint else "custom-process")
    assert (came["access_key_id"] == agent.credentials()[1]["AccessKeyId"]) == (way != by_process_and_broker)


@WAYS
def test_the_aws_cli_has_the_roles_credentials(agent, memory, way):
    variables = sdks.environment(memory, **way(agent))
    assert ASSUMED in sdks.aws(variables, "sts", "get-caller-identity")["Arn"]
    assert "Buckets" in sdks.aws(variables, "s3api", "list-buckets")


def test_the_credentials_are_the_roles_and_no_more(agent):
    _, credentials = agent.credentials()
    assert "Buckets" in sdks.client("s3", credentials).list_buckets()
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        sdks.client("secretsmanager", credentials).get_secret_value(SecretId="app/db")
    assert raised.value.response["Error"]["Code"] == "AccessDeniedException"


def test_without_the_agent_there_are_none(agent, memory):
    """The SDK found them at the endpoint and nowhere else."""
    with sdks.Program(sdks.environment(memory, **by_endpoint(agent))) as program:
        agent.stop()
        assert "error" in program.call()


def test_a_program_of_exec_finds_the_endpoint_by_itself(cli, memory):
    inherited = [name for name in sdks.environment(memory) if name != "HOME"]
    config = dict(items=ITEMS, endpoint={"listen": "127.0.0.1:0"}, child_settings={"inherit": inherited})
    with Execution(cli, memory, *sdks.PROGRAM, input=subprocess.PIPE, **config) as run:
        run.process.stdin.write(b"\n")
        run.process.stdin.close()
        code, output = run.output()
    came = json.loads(output)
    assert code == 0 and ASSUMED in came["arn"] and came["found_by"] == "container-role"


def test_credential_process_prints_what_aws_documents(agent, cli):
    by_broker = cli.run("credential-process", "--role", "deploy")
    by_agent = cli.run("credential-process", "--role", "deploy", "--agent", COUNTERSIGN_CONFIG=str(agent.config_path))
    for done in (by_broker, by_agent):
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert set(document) == {"Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}
        assert document["Version"] == 1
        assert ASSUMED in sdks.client("sts", document).get_caller_identity()["Arn"]
    assert json.loads(by_agent.stdout)["AccessKeyId"] == agent.credentials()[1]["AccessKeyId"]


def test_a_secret_can_be_an_access_key(agent, cli):
    boto3.client("secretsmanager").create_secret(Name="app/tests/access-key", SecretString="AKIAEXAMPLE,abc/def+ghi")
    done = cli.run("credential-process", "app/tests/access-key")
    assert json.loads(done.stdout) == {"Version": 1, "AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "abc/def+ghi"}
    done = cli.run("credential-process", "ops/root")
    assert (done.returncode, done.stdout) == (5, b"") and b"hint: " in done.stderr


def test_after_the_end_of_credentials_sdks_go_on_with_new_ones(cli, memory, stack):
    """In seconds, with a local AWS that ends sessions early; test_agent_expiry.py takes the 15 minutes of AWS."""
    with short_sessions.running() as (aws, used), stack.off_lambda(ENDPOINT_URL=aws) as broker, \
            Agent(cli, memory, items=ITEMS, url=broker) as agent:
        _, first = agent.credentials()
        variables = sdks.environment(memory, AWS_ENDPOINT_URL=aws)
        with sdks.Program(variables | by_endpoint(agent)) as by_http, \
                sdks.Program(variables | by_process_and_agent(agent)) as by_process:
            calls = []
            end = short_sessions.ShortSessions.ends[first["AccessKeyId"]]
            while time.time() < end + 1:
                for program in (by_http, by_process):
                    calls.append(program.call())
                    assert ASSUMED in calls[-1].get("arn", ""), calls[-1]
        for way in (by_endpoint, by_process_and_agent):
            del used[:]
            sdks.aws(variables | way(agent), "s3api", "list-buckets")
            assert first["AccessKeyId"] not in used
        for program in (0, 1):
            keys = [call["access_key_id"] for call in calls[program::2]]
            assert keys[0] == first["AccessKeyId"] != keys[-1]
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            sdks.client("sts", first, endpoint_url=aws).get_caller_identity()
        assert raised.value.response["Error"]["Code"] == "ExpiredToken"
        assert until(lambda: agent.credentials()[1]["AccessKeyId"] != first["AccessKeyId"])
