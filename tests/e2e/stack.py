"""The deployed stack of the environment (AWS_ENDPOINT_URL, STACK_NAME), and what a test needs of it."""

import collections
import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time
import urllib.error
import urllib.request

import boto3

import logs
import reference_client

STACK = os.environ["STACK_NAME"]


class Stack:
    def __init__(self):
        outputs = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.url = self.outputs["Url"]
        self.bucket = self.outputs["BucketName"]
        self.lambda_ = boto3.client("lambda")
        self.s3 = boto3.client("s3")
        self.ledger = boto3.resource("dynamodb").Table(self.outputs["LedgerTable"])

    def rotate(self, **order):
        answer = self.lambda_.invoke(FunctionName=f"{STACK}-rotate", Payload=json.dumps(order).encode())
        report = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, report
        return report

    def end_tokens(self):
        """Ends every token, and has no function go on with an ended key for the minute that a warm one may."""
        report = self.rotate(end_tokens=True)
        self.restart_with_tokens()
        return report

    def restart_with_tokens(self):
        """What signs or verifies tokens starts anew."""
        for function in ("exchange", "token", "authorize", "issue", "provision", "enroll"):
            self.restart(function)

    def issue(self, order):
        """An operator's order of a network token."""
        answer = self.lambda_.invoke(FunctionName=f"{STACK}-issue", Payload=json.dumps(order).encode())
        issued = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, issued
        return issued

    def put_keys(self, text, name="ops.pub"):
        self.s3.put_object(Bucket=self.bucket, Key=f"ssh-keys/{name}", Body=text.encode())

    def put_policy(self, text, name="web.cedar"):
        self.s3.put_object(Bucket=self.bucket, Key=f"policies/{name}", Body=text.encode())

    def function(self, name):
        return f"{STACK}-{name}"

    def restart(self, function="exchange", **changes):
        """Makes the next request a cold start, with these variables changed; gives what they were."""
        name = self.function(function)
        variables = self.lambda_.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        before = {variable: variables.get(variable, "") for variable in changes}
        variables |= changes | {"RESTARTED": str(time.time_ns())}
        self.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        return before

    @contextlib.contextmanager
    def configured(self, function, **changes):
        """The function with these variables, and from cold."""
        before = self.restart(function, **changes)
        try:
            yield
        finally:
            self.restart(function, **before)

    def manifest(self, group="web"):
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key=f"groups/{group}/manifest.json")["Body"].read())

    def pool(self, manifest):
        return self.s3.get_object(Bucket=self.bucket, Key=manifest["pool"]["key"])["Body"].read()

    def http(self, method, path, body=None, headers=None, url=None):
        """Status, headers and body of an answer, errors included; from the broker at `url`, by default the deployed one."""
        url = url or self.url
        host = url.split("//")[1].split("/")[0]
        # The name is a loopback name, which not every resolver knows.
        url = url.replace(host, "127.0.0.1:" + host.split(":")[1]) + path
        request = urllib.request.Request(url, data=body, method=method, headers={"Host": host} | (headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def exchange(self, wants, manifest=None, pool=None, url=None, **changes):
        """An exchange by the reference client: status and, where it can be opened, the answer."""
        manifest = manifest or self.manifest()
        body, response_key = reference_client.request(manifest, pool or self.pool(manifest), wants, **changes)
        status, headers, text = self.post(body, url)
        if status == 200:
            return status, reference_client.open_answer(text, response_key)
        if status in (403, 404):
            return status, reference_client.open_answer(json.loads(text)["detail"], response_key)
        return status, text

    def post(self, body, url=None):
        return self.http("POST", "/v2/exchange", body.encode(), {"Content-Type": "application/jose"}, url)

    @contextlib.contextmanager
    def off_lambda(self, log=None, **changes):
        """The deployed binary with the deployed settings, on a port of this machine. Yields its url; what it logs is
        appended to `log`, as objects."""
        configuration = self.lambda_.get_function_configuration(FunctionName=f"{STACK}-exchange")
        binary = pathlib.Path(os.environ["BUILD_DIR"]) / "ExchangeFunction/bootstrap"
        environment = os.environ | configuration["Environment"]["Variables"] | {"LISTEN": "127.0.0.1:0"} | changes
        with subprocess.Popen([binary], env=environment, stdout=subprocess.PIPE, text=True) as server:
            lines = (json.loads(line) for line in server.stdout)
            address = next(line["address"] for line in lines if line.get("message") == "listening")
            log = [] if log is None else log
            threading.Thread(target=lambda: log.extend(lines), daemon=True).start()
            try:
                yield f"http://{address}"
            finally:
                server.terminate()

    def outcomes(self, since):
        """How often exchanges ended how, since this time in milliseconds."""
        return collections.Counter(line["outcome"] for line in logs.audits("exchange", since) if line["action"] == "exchange")

    def events(self, request_id, function="exchange"):
        """The log lines of a request, as objects, its audit event among them."""
        logs.awaited(lambda: logs.audits(function, word=request_id), function)
        return logs.lines(function, word=request_id)

    def audited(self, request_id, function="exchange"):
        """The audit event of a request: there is one."""
        [event] = [line for line in self.events(request_id, function) if line["target"] == "audit"]
        return event
