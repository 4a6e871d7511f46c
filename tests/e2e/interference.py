"""Single operations of AWS that fail, throttle or lose their answers, behind the back of the deployed function."""

import contextlib
import json
import re

import proxy

ERRORS = {
    "throttles": (400, "ThrottlingException"),
    "fails": (500, "InternalFailureException"),
    "refuses": (400, "ResourceRegistrationFailureException"),
}
# What is done all the same, and answered so.
LATE = {"loses its answer": "fails", "refuses late": "refuses"}
# How requests of an operation look: method and path, or the target that a header names, or what their form begins with.
OPERATIONS = {
    "AssumeRole": b"Action=AssumeRole&",
    "ListPolicies": ("GET", r"/[^/]+/?"),
    "GetPolicies": ("GET", r"/[^/]+/policies/[^?]+\.cedar"),
    "GetAssignments": ("GET", r"/[^/]+/templates/assignments\.json"),
    "GetObject": ("GET", r"/[^/]+/templates/[^?]+\.json"),
    "PutObject": ("PUT", r"/[^/]+/bulk/.*"),
    "GetParameter": "AmazonSSM.GetParameter",
    "GetItem": "DynamoDB_20120810.GetItem",
    "PutItem": "DynamoDB_20120810.PutItem",
    "DeleteItem": "DynamoDB_20120810.DeleteItem",
    "DescribeCertificateAuthority": "ACMPrivateCA.DescribeCertificateAuthority",
    "IssueCertificate": "ACMPrivateCA.IssueCertificate",
    "GetCertificate": "ACMPrivateCA.GetCertificate",
    "DescribeCACertificate": ("GET", r"/cacertificate/[^/]+"),
    "CreateKeysAndCertificate": ("POST", r"/keys-and-certificate"),
    "RegisterCertificate": ("POST", r"/certificate/register"),
    "RegisterCertificateWithoutCA": ("POST", r"/certificate/register-no-ca"),
    "DescribeCertificate": ("GET", r"/certificates/[^/]+"),
    "UpdateCertificate": ("PUT", r"/certificates/[^/]+"),
    "DeleteCertificate": ("DELETE", r"/certificates/[^/]+"),
    "RegisterThing": ("POST", r"/things"),
    "DescribeThing": ("GET", r"/things/[^/]+"),
    "DeleteThing": ("DELETE", r"/things/[^/]+"),
    "ListThingPrincipals": ("GET", r"/things/[^/]+/principals(-v2)?"),
    "DetachThingPrincipal": ("DELETE", r"/things/[^/]+/principals"),
    "ListPrincipalThings": ("GET", r"/principals/things(-v2)?"),
    "ListThingGroupsForThing": ("GET", r"/things/[^/]+/thing-groups"),
    "DescribeThingGroup": ("GET", r"/thing-groups/[^/]+"),
    "ListAttachedPolicies": ("POST", r"/attached-policies/.+"),
    "ListTargetsForPolicy": ("POST", r"/policy-targets/[^/]+"),
    "GetPolicy": ("GET", r"/policies/[^/]+"),
    "DetachPolicy": ("POST", r"/target-policies/[^/]+"),
    "ListPolicyVersions": ("GET", r"/policies/[^/]+/version"),
    "DeletePolicyVersion": ("DELETE", r"/policies/[^/]+/version/[^/]+"),
    "DeletePolicy": ("DELETE", r"/policies/[^/]+"),
    "StartThingRegistrationTask": ("POST", r"/thing-registration-tasks"),
    "DescribeThingRegistrationTask": ("GET", r"/thing-registration-tasks/[^/]+"),
    "ListThingRegistrationTaskReports": ("GET", r"/thing-registration-tasks/[^/]+/reports"),
}


OF_S3 = {"ListPolicies", "GetPolicies", "GetAssignments", "GetObject", "PutObject"}


class Interference(proxy.Proxy):
    """`manners` says which operations misbehave and how; `seen` counts those."""

    manners, seen = {}, []

    def operation(self, body):
        target = self.headers.get("X-Amz-Target")
        path = self.path.split("?")[0]
        for name, shape in OPERATIONS.items():
            if isinstance(shape, bytes):
                found = (body or b"").startswith(shape)
            else:
                found = shape == target or (not target and shape[0] == self.command and re.fullmatch(shape[1], path))
            if found:
                return name
        return None

    def interfere(self, body):
        name = self.operation(body)
        manner = self.manners.get(name)
        if manner is None:
            return False
        self.seen.append(name)
        if manner in LATE:
            self.passed_on(body)
            manner = LATE[manner]
        status, code = ERRORS[manner]
        if name == "AssumeRole":
            answer = f"<ErrorResponse><Error><Code>{code}</Code><Message>interference</Message></Error></ErrorResponse>"
            media = "text/xml"
        elif name in OF_S3:
            status, code = {"throttles": (503, "SlowDown"), "fails": (500, "InternalError")}[manner]
            answer, media = f"<Error><Code>{code}</Code><Message>interference</Message></Error>", "application/xml"
        else:
            answer, media = json.dumps({"__type": code, "message": "interference"}), "application/json"
        self.answer(status, {"Content-Type": media, "x-amzn-ErrorType": code}, answer)
        return True


@contextlib.contextmanager
def interfering(**manners):
    """Gives the names of the operations that misbehaved, as they do."""
    Interference.manners, Interference.seen = manners, []
    try:
        yield Interference.seen
    finally:
        Interference.manners = {}
