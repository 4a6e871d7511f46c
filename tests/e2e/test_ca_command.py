"""`countersign ca register`, against the local AWS."""

import json
import stat

import boto3
import pytest

from authority import Authority, certificate_id, key, openssl


@pytest.fixture
def ca(cli):
    """Runs the command: exit code, standard output, standard error."""
    def run(*args, **changes):
        done = cli.run("ca", "register", *map(str, args), **{"COUNTERSIGN_GROUP": None} | changes)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


def parameter(identifier):
    return boto3.client("ssm").get_parameter(Name=f"cdf-ca-key-{identifier}", WithDecryption=True)["Parameter"]


def described(identifier):
    return boto3.client("iot").describe_ca_certificate(certificateId=identifier)["certificateDescription"]


@pytest.mark.parametrize("kind", ["ec", "ec_sec1", "rsa", "rsa_pkcs1"])
def test_a_ca_that_is_there_is_registered_and_again_changes_nothing(ca, tmp_path, kind):
    own = Authority(tmp_path, kind, register=False)
    code, out, said = ca("--certificate", own.path, "--key", own.key)
    assert (code, out) == (0, f"{own.id}\n"), said
    stored = parameter(own.id)
    assert stored["Type"] == "SecureString" and stored["Value"] == own.key.read_text()
    assert described(own.id)["status"] == "ACTIVE" and described(own.id)["autoRegistrationStatus"] == "DISABLE"
    code, out, said = ca("--certificate", own.path, "--key", own.key)
    assert (code, out) == (0, f"{own.id}\n") and "registered before" in said
    assert parameter(own.id)["Version"] == stored["Version"]


@pytest.mark.parametrize("kind", ["ec-p256", "rsa-2048"])
def test_a_new_ca_is_made_and_registered(ca, tmp_path, kind):
    out = tmp_path / "ca"
    order = ("--new", "--common-name", "Acme Devices", "--organization", "Acme", "--country", "DE", "--days", 30, "--out", out)
    code, identifier, said = ca(*order, "--key-type", kind)
    assert code == 0, said
    assert sorted(path.name for path in out.iterdir()) == ["ca-certificate.pem", "ca-key.pem"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in out.iterdir())
    certificate = out / "ca-certificate.pem"
    assert identifier.strip() == certificate_id(certificate.read_text())
    text = openssl("x509", "-in", certificate, "-noout", "-text")
    assert "CA:TRUE" in text and "Acme Devices" in text and "Certificate Sign" in text
    openssl("verify", "-x509_strict", "-CAfile", certificate, certificate)
    assert described(identifier.strip())["status"] == "ACTIVE"
    code, _, said = ca(*order)
    assert code == 2 and "hint: " in said, "a CA is never replaced"


def test_what_does_not_fit_is_refused_before_anything_is_stored(ca, tmp_path):
    own, other = (Authority(tmp_path, register=False) for _ in range(2))
    leaf = tmp_path / "leaf.pem"
    leaf.write_text(own.sign(openssl("req", "-new", "-key", other.key, "-subj", "/CN=leaf")))
    for certificate, private in ((own.path, other.key), (leaf, other.key), (own.key, own.path)):
        code, _, said = ca("--certificate", certificate, "--key", private)
        assert code == 2 and "hint: " in said
    assert ca("--certificate", own.path)[0] == 2 and ca("--new", "--common-name", "a")[0] == 2
    assert ca("--certificate", tmp_path / "none.pem", "--key", own.key)[0] == 1
    with pytest.raises(boto3.client("ssm").exceptions.ParameterNotFound):
        parameter(own.id)


def test_a_parameter_of_something_else_is_left_alone(ca, tmp_path):
    own = Authority(tmp_path, register=False)
    own.store(key())
    before = parameter(own.id)["Value"]
    code, _, said = ca("--certificate", own.path, "--key", own.key)
    assert code == 4 and f"cdf-ca-key-{own.id}" in said and parameter(own.id)["Value"] == before
    with pytest.raises(boto3.client("iot").exceptions.ResourceNotFoundException):
        described(own.id)


def test_a_missing_permission_is_named(ca, tmp_path, stack):
    iam, own = boto3.client("iam"), Authority(tmp_path, register=False)
    iam.create_user(UserName="ca-operator")
    made = iam.create_access_key(UserName="ca-operator")["AccessKey"]
    identity = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
    order = ("--certificate", own.path, "--key", own.key)
    code, _, said = ca(*order, **identity)
    assert code == 5 and "ssm:PutParameter" in said
    statements = [
        {"Effect": "Allow", "Action": ["ssm:PutParameter", "ssm:GetParameter"],
         "Resource": "arn:aws:ssm:*:*:parameter/cdf-ca-key-*"},
        {"Effect": "Allow", "Action": ["iot:DescribeCACertificate", "iot:GetRegistrationCode"], "Resource": "*"},
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    iam.put_user_policy(UserName="ca-operator", PolicyName="ca", PolicyDocument=json.dumps(policy))
    code, _, said = ca(*order, **identity)
    assert code == 5 and "iot:RegisterCACertificate" in said
    statements[1]["Action"].append("iot:RegisterCACertificate")
    iam.put_user_policy(UserName="ca-operator", PolicyName="ca", PolicyDocument=json.dumps(policy))
    code, out, said = ca(*order, **identity)
    assert (code, out) == (0, f"{own.id}\n"), said


def test_an_aws_that_is_not_there_has_its_code_and_the_new_ca_is_not_lost(ca, tmp_path):
    order = ("--new", "--common-name", "a", "--out", tmp_path / "ca", "--timeout", 20)
    code, _, said = ca(*order, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert code == 7 and "--certificate" in said and "hint: " in said
    files = tmp_path / "ca"
    code, out, said = ca("--certificate", files / "ca-certificate.pem", "--key", files / "ca-key.pem")
    assert code == 0 and out.strip() == certificate_id((files / "ca-certificate.pem").read_text()), said
