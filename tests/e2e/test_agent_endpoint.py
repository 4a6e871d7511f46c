"""What the endpoint of a running agent answers, and to whom; in the shape of the AWS Secrets Manager Agent."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
import pytest

from agents import Agent
from secret import Secret

SLOW = {"interval": "1h", "min_interval": "100ms"}
TOKEN = "X-Aws-Parameters-Secrets-Token"


@pytest.fixture
def agent(cli, memory):
    items = {"db": {"secret": "app/db"}, "keystore": {"secret": "app/keystore"}, "aws": {"role": "deploy"}}
    with Agent(cli, memory, items=items, refresh=SLOW) as running:
        yield running


class Client:
    """A client as the README of aws-secretsmanager-agent has it."""

    def __init__(self, agent):
        self.url = f"http://localhost:{agent.port}"
        self.headers = {TOKEN: agent.token_path.read_text()}

    def get_secret(self, secret_id, **query):
        query = urllib.parse.urlencode({"secretId": secret_id} | query)
        return self.get(f"/secretsmanager/get?{query}")

    def get(self, path):
        request = urllib.request.Request(self.url + path, headers=self.headers)
        with urllib.request.urlopen(request, timeout=15) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            return json.load(answer)


def test_a_client_of_the_secrets_manager_agent_is_answered(agent):
    stored = boto3.client("secretsmanager").get_secret_value(SecretId="app/db")
    expected = {name: stored[name] for name in ("Name", "VersionId", "SecretString", "VersionStages")}
    client = Client(agent)
    assert client.get("/v1/app/db") == expected
    for query in ({}, {"versionStage": "AWSCURRENT"}, {"versionId": stored["VersionId"]}):
        assert client.get_secret("app/db", **query) == expected
    assert base64.b64decode(client.get_secret("app/keystore")["SecretBinary"]) == bytes(range(256))


def test_refresh_now_asks_the_broker_first(cli, memory):
    made = Secret()
    items = {"db": {"secret": made.name, "file": {"path": "db"}}}
    with Agent(cli, memory, items=items, refresh=SLOW | {"min_interval": "1s"}) as agent:
        time.sleep(1.1)
        client, before = Client(agent), made.value
        value = made.put()
        assert client.get_secret(made.name)["SecretString"] == before
        assert client.get_secret(made.name, refreshNow="true")["SecretString"] == value
        agent.holds("db", value)
        # Not more often than the shortest interval, however often it is asked for.
        given = agent.metric("countersign_exchanges_total", outcome="given")
        for _ in range(10):
            client.get_secret(made.name, refreshNow="true")
        assert agent.metric("countersign_exchanges_total", outcome="given") - given < 10


def test_a_stage_or_a_version_is_served_where_it_is_an_item(cli, memory):
    made = Secret()
    before, value = made.value, made.put()
    items = {"db": {"secret": made.name}, "before": {"secret": made.name, "version_stage": "AWSPREVIOUS"}}
    with Agent(cli, memory, items=items) as agent:
        client = Client(agent)
        assert client.get_secret(made.name)["SecretString"] == value
        assert client.get_secret(made.name, versionStage="AWSPREVIOUS")["SecretString"] == before


def test_credentials_have_the_shape_of_a_containers(agent):
    status, credentials = agent.credentials()
    assert status == 200
    assert set(credentials) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}


@pytest.mark.parametrize("path, header", [
    ("/credentials/deploy", "Authorization"), ("/secretsmanager/get?secretId=app/db", TOKEN), ("/v1/app/db", TOKEN)])
def test_nothing_is_given_without_the_token(agent, path, header):
    for headers in ({}, {header: "wrong"}, {header: ""}, {header: agent.token[:-1]}, {header: f"Bearer {agent.token}"},
                    {"Authorization" if header == TOKEN else TOKEN: agent.token}):
        answer = agent.ask(path, **headers)
        assert (answer.status, json.loads(answer.body)["__type"]) == (403, "AccessDeniedException"), headers.keys()
    assert agent.ask(path, **{header: agent.token}).status == 200


def test_a_request_that_came_by_a_proxy_or_for_another_host_is_refused(agent):
    headers = {TOKEN: agent.token}
    for path in ("/v1/app/db", "/health", "/ready", "/metrics"):
        for name in ("X-Forwarded-For", "Forwarded", "Via"):
            assert agent.ask(path, **headers, **{name: "127.0.0.1"}).status == 400, name
        for host in (False, "example.com", f"example.com:{agent.port}", "127.0.0.1:1"):
            assert agent.ask(path, host=host, **headers).status == 400, host
        for host in (f"localhost:{agent.port}", f"127.0.0.1:{agent.port}"):
            assert agent.ask(path, host=host, **headers).status == 200, host


def test_what_is_not_there_is_said_as_aws_says_it(agent):
    headers = {TOKEN: agent.token}
    for path, status, kind in (
        ("/v1/app/nothing", 400, "ResourceNotFoundException"),
        ("/secretsmanager/get?secretId=ops/root", 400, "ResourceNotFoundException"),
        ("/secretsmanager/get", 400, "InvalidParameterException"),
        ("/elsewhere", 404, "ResourceNotFoundException"),
    ):
        answer = agent.ask(path, **headers)
        assert (answer.status, json.loads(answer.body)["__type"]) == (status, kind), path
    assert agent.ask("/credentials/nothing", Authorization=agent.token).status == 404
    assert agent.ask("/v1/app/db", method="POST", **headers).status == 405
    with pytest.raises(urllib.error.HTTPError):
        Client(agent).get_secret("app/db", versionStage="AWSPREVIOUS")


def test_it_is_alive_by_either_name(agent):
    assert [agent.ask(path).status for path in ("/health", "/ping", "/started")] == [200] * 3


def test_numbers_tell_how_it_is(agent):
    agent.ask("/v1/app/db", X_Aws_Parameters_Secrets_Token=agent.token)
    agent.ask("/v1/app/db")
    assert agent.ask("/metrics").headers["Content-Type"].startswith(("text/plain; version=", "application/openmetrics-text"))
    obtained = agent.metric("countersign_item_obtained_seconds", item="db")
    assert agent.metric("countersign_item_use_by_seconds", item="db") == obtained + 24 * 3600
    assert agent.metric("countersign_item_use_by_seconds", item="aws") <= obtained + 901
    assert agent.metric("countersign_item_usable", item="db") == 1
    assert agent.metric("countersign_item_failures", item="db") == 0
    assert agent.metric("countersign_exchanges_total", outcome="given") == 1, "one exchange asked for everything"
    assert agent.metric("countersign_exchanges_total", outcome="failed") == 0
    assert agent.metric("countersign_pulls_total") == 1
    for status in (200, 403):
        assert agent.metric("countersign_endpoint_requests_total", route="secret", status=status) == 1
