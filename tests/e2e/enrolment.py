"""What the tests of enrolment share: a step-ca, provisioners of both kinds, a directory of subjects, a policy, and a client of the
routes by plain HTTP."""

import collections
import concurrent.futures
import json
import secrets
import urllib.parse

import boto3
import pytest

import messages
from command import Cli
from stack import STACK
from step_ca import Request, StepCa
from waiting import until

# Subjects that the directory has; each test takes new ones.
SUBJECTS = 1000
POLICY = """
permit (principal is Subject, action == Action::"certificate:enroll", resource)
when { principal.name == context.subject && (resource == principal || resource.name like "*.shared.example.com") };
permit (principal is Subject, action == Action::"certificate:revoke", resource)
when { context has subject && principal.name == context.subject };
permit (principal == Subject::"network:registrar", action == Action::"certificate:enroll", resource)
when { context has scope && context.scope.contains("certificates:write") };
permit (principal == Subject::"network:registrar", action == Action::"certificate:revoke", resource)
when { context has scope && context.scope.contains("certificates:write") };
permit (principal == Group::"web", action == Action::"certificate:enroll", resource)
when { resource.name like "web-*" || resource.name like "*.web.example.com" };
forbid (principal, action == Action::"certificate:enroll", resource)
when { resource.name like "crown-*" };
forbid (principal, action == Action::"certificate:enroll", resource)
when { context has channel && context.channel == "sms" && resource.name like "nosms-*" };
"""

Answer = collections.namedtuple("Answer", "status headers content")


def directory(names):
    """An address of each kind for each name."""
    prefix = f"+39{secrets.randbelow(10**5):05}"
    return {name: {"sms": f"{prefix}{number:05}", "mail": f"{name}@example.com", "webhook": f"telegram:{name}"}
            for number, name in enumerate(names)}


class Routes:
    """A client of the enrolment's routes. The local gateway takes the caller's address from a header; AWS's takes it from none."""

    def __init__(self, stack):
        self.stack = stack

    def send(self, path, content, bearer=None, source=None, media="application/json"):
        """An answer, whose content is parsed where it is JSON."""
        headers = {"Content-Type": media} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        headers |= {"X-Forwarded-For": source} if source else {}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        status, answered, text = self.stack.http("POST", path, body, headers)
        return Answer(status, answered, json.loads(text) if "json" in answered.get("Content-Type", "") else text)

    def challenge(self, subject, channel="webhook", **options):
        return self.send("/v2/enroll/challenge", {"subject": subject, "channel": channel}, **options)

    def token(self, subject, code=None, bearer=None, source=None, **more):
        body = {"subject": subject} | ({} if code is None else {"code": code}) | more
        return self.send("/v2/enroll/token", body, bearer, source)

    def revocation(self, serial, bearer=None, source=None, **more):
        return self.send("/v2/enroll/revocation", {"serial": serial} | more, bearer, source)


class Enrolment(Routes):
    """All that there must be to enrol."""

    def __init__(self, stack, folder, receiver):
        super().__init__(stack)
        self.folder, self.receiver = folder, receiver
        self.secrets = boto3.client("secretsmanager")
        boto3.client("ses").verify_email_identity(EmailAddress=messages.SENDER)
        run = secrets.token_hex(3)
        self.addresses = directory([f"device-{run}-{number}" for number in range(SUBJECTS)])
        self.names = iter(list(self.addresses))
        special = [f"{kind}-{run}" for kind in ("crown", "nosms", "nomail")]
        self.addresses |= {name: {kind: address for kind, address in addresses.items() if kind != "mail"}
                           for name, addresses in directory(special).items()}
        self.crown, self.nosms, self.nomail = special
        self.put_subjects(self.addresses)
        stack.put_policy(POLICY, "enrolment.cedar")
        self.cli = Cli(stack, folder / "material")
        # Certificates that end while a test looks on begin when they are made.
        self.ca = StepCa(folder / "step-ca", claims={"minTLSCertDuration": "1s"}, backdate="0s")
        self.kinds = {kind: self.make_provisioner(kind) for kind in ("jwk", "x5c")}
        self.ca.provisioners = [provisioner for provisioner, _ in self.kinds.values()]

    def command(self, *arguments, **changes):
        """The operator's `countersign ca step provisioner` for this CA and stack, done."""
        return self.cli.run("ca", "step", "provisioner", *map(str, arguments), **{"COUNTERSIGN_GROUP": None} | changes)

    def make_provisioner(self, kind):
        """What it prints for the CA, and the CA's object that it leaves in the bucket."""
        arguments = ["--type", kind, "--name", f"registrar-{kind}", "--ca-url", self.ca.url, "--fingerprint", self.ca.fingerprint,
                     "--bucket", self.stack.bucket, "--stack", STACK]
        if kind == "x5c":
            arguments += ["--out", self.folder / "x5c"]
        done = self.command(*arguments, "--replace")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout), self.ca_object()

    def ca_object(self):
        return self.stack.s3.get_object(Bucket=self.stack.bucket, Key="step-ca/ca.json")["Body"].read()

    def use(self, kind):
        """Tokens are of this provisioner from now on."""
        self.kind, (self.provisioner, content) = kind, self.kinds[kind]
        self.stack.s3.put_object(Bucket=self.stack.bucket, Key="step-ca/ca.json", Body=content)
        self.restart()

    def restart(self):
        self.stack.restart("enroll")
        self.stack.restart("exchange")

    def secret(self, name):
        """The value of a secret of the stack's, parsed."""
        return json.loads(self.secrets.get_secret_value(SecretId=f"{STACK}/step-ca/{name}")["SecretString"])

    def put_subjects(self, content, name="tests"):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.stack.s3.put_object(Bucket=self.stack.bucket, Key=f"subjects/{name}.json", Body=body)

    def subject(self):
        """One that no test had, whom the directory knows."""
        return next(self.names)

    def bearer(self, name="registrar", scope="certificates:write"):
        """An access token."""
        order = {"network": "127.0.0.0/8", "seconds": 14400, "scope": scope, "name": name}
        return self.stack.issue(order)["access_token"]

    def received(self, subject, channel):
        """The texts that went to a subject by a channel, oldest first."""
        address = self.addresses[subject][channel]
        if channel == "sms":
            return [message["Message"] for message in messages.sms(address)]
        if channel == "mail":
            return [mail["BodyText"] for mail in messages.mails(address)]
        return [json.loads(one.body)["data"]["text"] for one in self.receiver.to(address)]

    def code(self, subject, channel="webhook"):
        """A new code, as it arrived."""
        before = len(self.received(subject, channel))
        answer = self.challenge(subject, channel)
        assert (answer.status, answer.content) == (202, {"expires_in": 300}), answer
        [text] = until(lambda: self.received(subject, channel)[before:], what=f"no message to {subject} by {channel}")
        return messages.code_in(text)

    def warm(self, instances):
        """Has so many instances of the function: where all begin at once, one may give up its first request."""
        with concurrent.futures.ThreadPoolExecutor(instances) as pool:
            list(pool.map(lambda _: self.challenge(f"nobody-{secrets.token_hex(3)}"), range(instances)))

    def one_time_token(self, subject, by="bearer", **more):
        """A token for the subject by a code, a bearer token or an exchange."""
        if by == "exchange":
            status, answer = self.stack.exchange([{"type": "enrollment_token", "subject": subject} | more])
            assert status == 200, answer
            [granted] = answer["granted"]
            return granted["token"]
        proof = {"bearer": self.token_of_registrar} if by == "bearer" else {"code": self.code(subject, by)}
        answer = self.token(subject, **proof, **more)
        assert answer.status == 200, answer
        return answer.content["token"]

    def request(self, *arguments, **options):
        """A new key and its CSR."""
        return Request(self.folder / secrets.token_hex(8), *arguments, **options)

    def certificate(self, subject=None, **options):
        """A key with a certificate of the CA."""
        subject = subject or self.subject()
        request = self.request(subject)
        request.keep(self.ca.sign(request.pem, self.one_time_token(subject, **options)))
        request.subject = subject
        return request

    def audited(self, answer, function="enroll"):
        """The audit line of a request."""
        return self.stack.audited(answer.headers["x-request-id"], function)


def webhook_port():
    """Where the deployed stack sends webhooks."""
    parameters = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Parameters"]
    [url] = [one["ParameterValue"] for one in parameters if one["ParameterKey"] == "WebhookUrl"]
    return urllib.parse.urlsplit(url).port


@pytest.fixture(scope="session")
def enrolling(stack, tmp_path_factory):
    with messages.Receiver(webhook_port()) as receiver:
        made = Enrolment(stack, tmp_path_factory.mktemp("enrolment"), receiver)
        with made.ca:
            yield made


@pytest.fixture(scope="module")
def enrolment(enrolling):
    """With tokens by a JWK provisioner, and a bearer token of the module's own: some end all tokens."""
    enrolling.use("jwk")
    enrolling.token_of_registrar = enrolling.bearer()
    return enrolling


@pytest.fixture(scope="module", params=["jwk", "x5c"])
def either(request, enrolment):
    """With tokens by a provisioner of each kind in turn."""
    enrolment.use(request.param)
    return enrolment


def source():
    """An address that no other caller has."""
    return f"198.18.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
