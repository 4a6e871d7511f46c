"""What the tests of device provisioning share: templates, a policy, CAs, and a client of /things by plain HTTP."""

import collections
import json
import secrets
import time

import boto3
import pytest

from authority import Authority, Device

VENDOR = "application/vnd.aws-cdf-v1.0+json"
POLICY = """
permit (principal == Subject::"network:factory", action == Action::"device:provision", resource);
permit (principal == Subject::"network:factory", action == Action::"device:read", resource);
permit (principal == Subject::"network:factory", action in [Action::"device:update", Action::"device:delete"], resource);
permit (principal == Subject::"network:guard", action == Action::"device:update", resource)
when { context.status != "ACTIVE" };
permit (principal == Subject::"network:visitor", action == Action::"device:read", resource is Thing)
when { resource.name like "shown-*" && context.scope.contains("things:read") };
forbid (principal, action == Action::"device:provision", resource == Template::"closed");
forbid (principal, action == Action::"device:provision", resource)
when { context has thing && context.thing like "crown-*" };
forbid (principal, action == Action::"device:provision", resource)
when { context has certificate && context.certificate.subject has common_name &&
       context.certificate.subject.common_name like "root*" };
forbid (principal, action == Action::"device:provision", resource)
when { context has certificate && context.certificate.days > 3000 };
forbid (principal, action in [Action::"device:read", Action::"device:update", Action::"device:delete"], resource is Thing)
when { resource.name like "secret-*" };
"""

Answer = collections.namedtuple("Answer", "status headers content")


def document(action, resource="*", **more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource} | more]}


def ref(name):
    return {"Ref": name}


CERTIFICATES = {
    "signed": {"CertificatePem": ref("CertificatePem"), "CACertificatePem": ref("CaCertificatePem")},
    "known": {"CertificateId": ref("CertificateId")},
    "csr": {"CertificateSigningRequest": ref("CSR")},
}
FILLED = {"signed": ["CertificatePem", "CaCertificatePem"], "known": ["CertificateId"], "csr": ["CSR"]}


def template(certificate, policy="fleet", thing=None, parameters=(), **cdf):
    """A template of a thing, its certificate and a policy."""
    declared = ["ThingName", *FILLED[certificate], *parameters]
    resources = {
        "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": ref("ThingName")} | (thing or {})},
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": CERTIFICATES[certificate]},
    }
    if policy:
        resources["policy"] = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": policy}}
    made = {"Parameters": {name: {"Type": "String"} for name in declared}, "Resources": resources}
    return made | ({"CDF": cdf} if cdf else {})


PUBLISH = document("iot:Publish", "arn:aws:iot:*:*:topic/things/${iot:Connection.Thing.ThingName}/*")
SUBSCRIBE = document("iot:Subscribe", "arn:aws:iot:*:*:topicfilter/things/*")
SERIAL = {"AttributePayload": {"serial": ref("Serial")}}
TEMPLATES = {
    "sensor": template("signed", createDeviceCertificate=True),
    # As CDF's own templates have it: by the id, which the broker registers before.
    "sensor-by-id": template("known", createDeviceCertificate=True),
    "private-with-by-id": template("known", acmpca={"mode": "REGISTER_WITH_CA"}),
    "numbered": template("signed", thing=SERIAL, parameters=["Serial"], createDeviceCertificate=True),
    "closed": template("signed", createDeviceCertificate=True),
    "aws": template("known", createDeviceAWSCertificate=True),
    "brought": template("known", registerDeviceCertificateWithoutCA=True),
    "csr": template("csr"),
    "private-with": template("signed", acmpca={"mode": "REGISTER_WITH_CA"}),
    "private-without": template("known", acmpca={"mode": "REGISTER_WITHOUT_CA"}),
    "shared": template("signed", createDeviceCertificate=True, attachAdditionalPolicies=[
        {"name": "extra"}, {"document": PUBLISH}]),
    "shared-older": template("signed", createDeviceCertificate=True, attachAdditionalPolicies={
        "policies": [{"document": json.dumps(SUBSCRIBE)}]}),
    "tied": template("signed", policy=None, createDeviceCertificate=True, clientIdMustMatchThingName=True),
    # A policy of its own that is not there: AWS IoT registers the certificate, and fails then.
    "broken": template("signed", policy="no-such-policy", createDeviceCertificate=True),
    "label": template("csr", thing=SERIAL, parameters=["Serial"], clientIdMustMatchThingName=True,
                      attachAdditionalPolicies=[{"document": PUBLISH}]),
}


class Things:
    """A client of the routes, with a bearer token."""

    def __init__(self, stack, token):
        self.stack, self.token = stack, token

    def send(self, method, path, content=None, media="application/json", **headers):
        """An answer, whose content is parsed where it is JSON."""
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        headers |= {"Authorization": f"Bearer {self.token}"} | ({"Content-Type": media} if media and body is not None else {})
        status, answered, text = self.stack.http(method, path, body, headers)
        return Answer(status, answered, json.loads(text) if text and "json" in answered["Content-Type"] else text)

    def provision(self, template, name=None, cdf=None, parameters=None, **more):
        """An order of one thing; `more` is of the body."""
        body = {"provisioningTemplateId": template,
                "parameters": {"ThingName": name or new_name()} | (parameters or {})} | more
        return self.send("POST", "/things", body | ({"cdfProvisioningParameters": cdf} if cdf is not None else {}))

    def start(self, rows, template="label", **more):
        """An order of many."""
        return self.send("POST", "/bulkthings", {"provisioningTemplateId": template, "parameters": rows} | more)

    def ended(self, task, seconds=120):
        """What a task answers when it has ended. It may not stand still for this long."""
        progress, deadline, pause = None, 0, 0.2
        while True:
            status, headers, answer = self.send("GET", f"/bulkthings/{task}")
            assert status == 200 and headers["Cache-Control"] == "no-store", answer
            if answer["status"] in ("Completed", "Failed", "Cancelled"):
                return answer
            if progress != (progress := (answer["status"], answer["successCount"], answer["failureCount"])):
                deadline = time.monotonic() + seconds
            assert time.monotonic() < deadline, answer
            # Whoever asks keeps the local AWS from what it is asked about.
            time.sleep(pause := min(2, pause * 1.5))


def new_name(kind="thing"):
    return f"{kind}-{secrets.token_hex(6)}"


class Factory:
    """All that there must be to make devices: templates, policies, thing groups, a registered CA."""

    def __init__(self, stack, folder):
        self.stack, self.folder, self.iot = stack, folder, boto3.client("iot")
        for name, content in TEMPLATES.items():
            self.put_template(name, content)
        for name in ("fleet", "extra"):
            self.iot.create_policy(policyName=name, policyDocument=json.dumps(document("iot:Receive")))
        self.ca = Authority(folder)
        stack.put_policy(POLICY, "devices.cedar")
        stack.restart("provision", IOT_CAS=json.dumps({"line1": self.ca.id}))

    def token(self, name, scope):
        order = {"network": "127.0.0.0/8", "seconds": 14400, "scope": scope, "name": name}
        return self.stack.issue(order)["access_token"]

    def put_template(self, name, content):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.stack.s3.put_object(Bucket=self.stack.bucket, Key=f"templates/{name}.json", Body=body)

    def device(self, *arguments, **options):
        return Device(self.folder, *arguments, **options)

    def order(self, **info):
        """cdfProvisioningParameters for a certificate of the CA."""
        return {"caId": self.ca.id, "certInfo": {"commonName": "device", "country": "DE"} | info}

    def make(self, template="sensor", name=None, cdf=None, **more):
        """A provisioned thing: its name, and the answer's content."""
        name = name or new_name()
        status, _, content = self.things.provision(template, name, self.order() if cdf is None else cdf, **more)
        assert status == 201, content
        return name, content

    def certificate(self, identifier):
        """What AWS IoT has of a certificate; None where there is none."""
        try:
            return self.iot.describe_certificate(certificateId=identifier)["certificateDescription"]
        except self.iot.exceptions.ResourceNotFoundException:
            return None

    def certificates(self):
        """The ids of all certificates of AWS IoT."""
        pages = self.iot.get_paginator("list_certificates").paginate()
        return {found["certificateId"] for page in pages for found in page["certificates"]}

    def policies(self, answer):
        """The names of the policies of a certificate that a request was answered with."""
        target = answer["resourceArns"]["certificate"]
        return {policy["policyName"] for policy in self.iot.list_attached_policies(target=target)["policies"]}


@pytest.fixture(scope="session")
def built(stack, tmp_path_factory):
    return Factory(stack, tmp_path_factory.mktemp("factory"))


@pytest.fixture(scope="module")
def factory(stack, built):
    """With a token of the module's own: some end all tokens."""
    built.things = Things(stack, built.token("factory", "things:write"))
    return built
