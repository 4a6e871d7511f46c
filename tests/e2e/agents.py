"""A running `countersign agent`, and its endpoint."""

import collections
import contextlib
import http.client
import json
import re
import socket
import urllib.parse

import secret
from staying import Staying
from waiting import until

Answer = collections.namedtuple("Answer", "status headers body")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Endpoint:
    """The endpoint of a command that stays."""

    def __init__(self, port, token_path):
        self.port, self.token_path = port, token_path

    @property
    def token(self):
        token = self.token_path.read_text()
        secret.VALUES.add(token)
        return token

    def ask(self, path, method="GET", host=None, **headers):
        """An answer; without a header `Host` where `host` is False. An underscore in a header's name is a dash."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)) as connection:
            connection.putrequest(method, path, skip_host=True)
            if host is not False:
                connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def secret(self, name, **query):
        """As clients of the AWS Secrets Manager Agent ask. Its status, and the document."""
        query = urllib.parse.urlencode({"secretId": name} | query)
        answer = self.ask(f"/secretsmanager/get?{query}", X_Aws_Parameters_Secrets_Token=self.token)
        return answer.status, json.loads(answer.body)

    def credentials(self, alias="deploy"):
        """As SDKs ask. Its status, and the document."""
        answer = self.ask(f"/credentials/{alias}", Authorization=self.token)
        document = json.loads(answer.body)
        secret.VALUES.update({document[name] for name in ("SecretAccessKey", "Token") if name in document})
        return answer.status, document

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("/ready").status == 200

    @property
    def metrics(self):
        """Numbers by name and labels, as Prometheus reads them."""
        text = self.ask("/metrics").body.decode()
        return {name: float(number) for name, number in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}

    def metric(self, name, **labels):
        """A number, or None."""
        labels = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return self.metrics.get(f"{name}{{{labels}}}" if labels else name)


class Agent(Staying, Endpoint):
    """An agent that is ready when its context begins, or alive at least where it is told so."""

    def __init__(self, cli, memory, *arguments, endpoint=None, port=None, wait_for="/ready", **config):
        Endpoint.__init__(self, port or free_port(), memory / "runtime/token")
        endpoint = {"listen": f"127.0.0.1:{self.port}"} | (endpoint or {})
        Staying.__init__(self, cli, memory, "agent", *arguments, endpoint=endpoint, **config)
        self.wait_for = wait_for

    def start(self):
        super().start()
        until(self.answers, what=lambda: f"{self.wait_for} of the agent: {self.log_path.read_text()}")

    def answers(self):
        assert self.process.poll() is None, self.log_path.read_text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask(self.wait_for).status == 200

    def environment_of_sdks(self):
        """The variables by which SDKs find its credentials."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self.port}/credentials/deploy",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.token_path),
        }

    def rounds(self, more=3):
        """Waits until the broker gave something so many times more."""
        given = self.metric("countersign_exchanges_total", outcome="given")
        until(lambda: self.metric("countersign_exchanges_total", outcome="given") >= given + more, 30, "rounds")
