"""What the tests of local/iot share: the local AWS's owner and users, certificates, and templates."""

import contextlib
import datetime
import hashlib
import json
import secrets

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REGION, ACCOUNT = "eu-west-1", "123456789012"
ARN = f"arn:aws:iot:{REGION}:{ACCOUNT}"
ROOT = {"aws_access_key_id": "local-root", "aws_secret_access_key": "local-root"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{ARN}:client/${{iot:Connection.Thing.ThingName}}"},
    {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{ARN}:topic/things/${{iot:Connection.Thing.ThingName}}/*"},
]})
REGISTRATION = [
    ("iot:RegisterThing", "*"), ("iot:DescribeThing", ":thing/*"), ("iot:DescribeThingGroup", ":thinggroup/*"),
    ("iot:DescribeThingType", ":thingtype/*"), ("iot:CreateThing", ":thing/*"),
    ("iot:AddThingToThingGroup", ":thing*"), ("iot:DescribeCertificate", ":cert/*"), ("iot:RegisterCertificate", "*"),
    ("iot:AttachThingPrincipal", "*"), ("iot:CreatePolicy", ":policy/*"), ("iot:AttachPolicy", ":cert/*"),
]


def name(kind="t"):
    return f"{kind}-{secrets.token_hex(6)}"


def client(service, **keys):
    return boto3.client(service, region_name=REGION, **(keys or ROOT))


@pytest.fixture(scope="module")
def iot():
    return client("iot")


@contextlib.contextmanager
def refused(*codes):
    with pytest.raises(ClientError) as caught:
        yield caught
    assert caught.value.response["Error"]["Code"] in codes


def statements(actions):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": ARN + on if on.startswith(":") else on} for action, on in actions
    ]})


class User:
    """An IAM user that may this."""

    def __init__(self, actions):
        self.name, self.iam = name("user"), client("iam")
        self.iam.create_user(UserName=self.name)
        self.may(actions)
        key = self.iam.create_access_key(UserName=self.name)["AccessKey"]
        self.iot = client("iot", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    def may(self, actions):
        self.iam.put_user_policy(UserName=self.name, PolicyName="may", PolicyDocument=statements(actions))


class Made:
    """A certificate with its key: of a CA, or itself a CA."""

    def __init__(self, common_name=None, issuer=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or name("cn"))])
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder().subject_name(subject).public_key(self.key.public_key())
            .issuer_name(issuer.certificate.subject if issuer else subject).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        self.certificate = builder.sign(issuer.key if issuer else self.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.id = hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
        self.arn = f"{ARN}:cert/{self.id}"
        self.csr = (
            x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM).decode()
        )

    def files(self, folder):
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = folder / f"{self.id}.pem"
        path.write_bytes(self.pem.encode() + private)
        return path


@pytest.fixture(scope="module")
def ca(iot):
    # Of a name of its own: the listener would not tell CAs of one name apart, without key identifiers in their certificates.
    made = Made()
    code = iot.get_registration_code()["registrationCode"]
    iot.register_ca_certificate(caCertificate=made.pem, verificationCertificate=Made(code, made).pem, setAsActive=True)
    return made


def template(thing=None, certificate=None, policies=(), overrides=None, certificate_overrides=None, **more):
    resources = {}
    if thing is not None:
        resources["device"] = {"Type": "AWS::IoT::Thing", "Properties": thing, "OverrideSettings": overrides or {}}
    if certificate is not None:
        resources["badge"] = {"Type": "AWS::IoT::Certificate", "Properties": certificate,
                              "OverrideSettings": certificate_overrides or {}}
    for number, policy in enumerate(policies):
        resources[f"policy{number}"] = {"Type": "AWS::IoT::Policy", "Properties": policy}
    return json.dumps({"Resources": resources} | more)


def whole(thing, certificate, group):
    """A template with a resource of each type; the thing is of the type `common`."""
    client("iot").create_thing_type(thingTypeName="common")
    properties = {"ThingName": thing, "ThingTypeName": "common", "ThingGroups": [group]}
    return template(properties, {"CertificatePem": certificate.pem}, [{"PolicyDocument": POLICY}])
