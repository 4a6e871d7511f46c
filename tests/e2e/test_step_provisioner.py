"""`countersign ca step provisioner`: provisioners for a step-ca, keys for the broker, and whether a CA gives keys away."""

import base64
import json
import secrets
import shutil
import stat
import subprocess
import time

import boto3
import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey

import logs
import one_time_token
from authority import openssl
from stack import STACK
from step_ca import StepCa, split
from waiting import until

PASSWORD = "correct horse battery staple"


def encrypted(key):
    """A private JWK as step-ca has it (RFC 7517 appendix C): by `step`, where it is on PATH."""
    protected = {"alg": "PBES2-HS256+A128KW", "cty": "jwk+json", "enc": "A256GCM", "p2c": 100000,
                 "p2s": one_time_token.b64(secrets.token_bytes(16))}
    return jwe.encrypt_compact(protected, json.dumps(key.as_dict(private=True)), OctKey.import_key(PASSWORD),
                               algorithms=["PBES2-HS256+A128KW", "A256GCM"])


def foreign(folder):
    """A key that was made elsewhere, encrypted, and its public half."""
    if shutil.which("step"):
        public, private, known = (folder / name for name in ("public.json", "private.json", "step-password"))
        known.write_text(PASSWORD)
        subprocess.run(["step", "crypto", "jwk", "create", public, private, "--password-file", known], check=True)
        return private.read_text(), json.loads(public.read_text())
    key = ECKey.generate_key("P-256")
    made = key.as_dict(private=True) | {"kid": key.thumbprint(), "use": "sig", "alg": "ES256"}
    key = ECKey.import_key(made)
    return encrypted(key), key.as_dict(private=False)


@pytest.fixture
def operator(enrolment, tmp_path):
    """Runs the command for the module's CA: exit code, standard output, standard error. What the deployment had is put back."""
    names = ("jwk", "x5c", "x5c-intermediate")
    before = {name: enrolment.secrets.get_secret_value(SecretId=f"{STACK}/step-ca/{name}")["SecretString"] for name in names}
    content = enrolment.ca_object()

    def run(*arguments, url=enrolment.ca.url, **changes):
        done = enrolment.command("--name", "made", "--ca-url", url, "--fingerprint", enrolment.ca.fingerprint, "--bucket",
                                 enrolment.stack.bucket, "--stack", STACK, *arguments, **changes)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    yield run
    for name, value in before.items():
        enrolment.secrets.put_secret_value(SecretId=f"{STACK}/step-ca/{name}", SecretString=value)
    enrolment.stack.s3.put_object(Bucket=enrolment.stack.bucket, Key="step-ca/ca.json", Body=content)
    enrolment.ca.restart(*[provisioner for provisioner, _ in enrolment.kinds.values()])
    enrolment.restart()


def algorithm(enrolment, provisioner):
    """That of the broker's tokens, which step-ca takes once it is told of the provisioner."""
    enrolment.ca.restart(provisioner)
    enrolment.restart()
    subject = enrolment.subject()
    request = enrolment.request(subject)
    token = enrolment.one_time_token(subject)
    certificate = request.keep(enrolment.ca.sign(request.pem, token))
    enrolment.ca.verify(certificate, certificate)
    assert enrolment.ca.sign(request.pem, token).status == 401, "once"
    return one_time_token.parts(token)[0]["alg"]


def test_a_jwk_provisioner_is_made_and_its_private_key_is_the_brokers_alone(enrolment, operator):
    code, out, said = operator("--type", "jwk", "--replace")
    assert code == 0, said
    provisioner, stored = json.loads(out), enrolment.secret("jwk")
    assert (provisioner["type"], provisioner["name"], set(provisioner)) == ("JWK", "made", {"type", "name", "key"})
    assert provisioner["key"] == {name: value for name, value in stored.items() if name != "d"}
    assert provisioner["key"]["kid"] == ECKey.import_key(stored).thumbprint() and stored["crv"] == "P-256"
    assert stored["d"] not in out + said
    assert json.loads(enrolment.ca_object()) == {
        "url": enrolment.ca.url, "fingerprint": enrolment.ca.fingerprint,
        "provisioner": {"type": "JWK", "name": "made", "kid": stored["kid"]}}
    assert algorithm(enrolment, provisioner) == "ES256"


@pytest.mark.parametrize("key_type, shown, signed", [("ec-p256", "(256 bit)", "ES256"), ("rsa-4096", "(4096 bit)", "RS256")])
def test_an_x5c_provisioner_is_made_and_the_roots_key_stays_with_the_operator(
        enrolment, operator, tmp_path, key_type, shown, signed):
    out = tmp_path / "x5c"
    code, printed, said = operator("--type", "x5c", "--key-type", key_type, "--out", out, "--replace")
    assert code == 0, said
    assert sorted(path.name for path in out.iterdir()) == ["root-key.pem", "root.pem"]
    assert stat.S_IMODE((out / "root-key.pem").stat().st_mode) == 0o600
    provisioner, stored, issuer = json.loads(printed), enrolment.secret("x5c"), enrolment.secret("x5c-intermediate")
    assert (provisioner["type"], provisioner["name"], set(provisioner)) == ("X5C", "made", {"type", "name", "roots"})
    assert split(base64.b64decode(provisioner["roots"]).decode()) == split((out / "root.pem").read_text())
    assert set(stored) == {"key", "chain"} and set(issuer) == {"key", "certificate"}
    leaf, intermediate = split(stored["chain"])
    assert split(issuer["certificate"]) == [intermediate]
    files = {name: out / f"{name}.txt" for name in ("leaf", "intermediate")}
    files["leaf"].write_text(leaf)
    files["intermediate"].write_text(intermediate)
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", out / "root.pem", "-untrusted", files["intermediate"],
            files["leaf"])
    assert shown in openssl("x509", "-in", files["leaf"], "-noout", "-text")
    assert shown in openssl("x509", "-in", out / "root.pem", "-noout", "-text")
    root_key = (out / "root-key.pem").read_text()
    assert root_key not in (stored["key"], issuer["key"]) and "PRIVATE" not in printed + said
    public = openssl("x509", "-in", out / "root.pem", "-noout", "-pubkey")
    assert openssl("pkey", "-in", out / "root-key.pem", "-pubout") == public
    assert algorithm(enrolment, provisioner) == signed


@pytest.mark.parametrize("end", ["", "\n"])
def test_an_encrypted_key_is_imported(enrolment, operator, tmp_path, end):
    private, public = foreign(tmp_path)
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_text(private)
    password.write_text(PASSWORD + end)
    code, out, said = operator("--type", "jwk", "--import", key, "--password-file", password, "--replace")
    assert code == 0, said
    provisioner = json.loads(out)
    assert {name: provisioner["key"][name] for name in ("kty", "crv", "x", "y", "kid")} == {
        name: public[name] for name in ("kty", "crv", "x", "y", "kid")}
    assert algorithm(enrolment, provisioner) == "ES256"


def test_a_wrong_password_stores_nothing(enrolment, operator, tmp_path):
    before = enrolment.secret("jwk")
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_text(foreign(tmp_path)[0])
    password.write_text("wrong")
    code, out, said = operator("--type", "jwk", "--import", key, "--password-file", password, "--replace")
    assert code == 3 and out == "" and "hint: " in said and enrolment.secret("jwk") == before
    key.write_text("garbage")
    assert operator("--type", "jwk", "--import", key, "--password-file", password, "--replace")[0] == 3
    assert enrolment.secret("jwk") == before


def test_what_is_there_is_replaced_where_that_is_said_alone(enrolment, operator, tmp_path):
    before = enrolment.secret("jwk"), enrolment.secret("x5c"), enrolment.ca_object()
    for arguments in (["--type", "jwk"], ["--type", "x5c", "--out", tmp_path / "x5c"]):
        code, out, said = operator(*arguments)
        assert code == 4 and "--replace" in said, said
    assert before == (enrolment.secret("jwk"), enrolment.secret("x5c"), enrolment.ca_object())


def test_a_replacement_waits_for_the_ca_and_has_no_gap(enrolment, operator, tmp_path):
    """Tokens go on by the old key until the CA lists the new one."""
    before, path = enrolment.secret("jwk"), tmp_path / "printed"
    arguments = ["ca", "step", "provisioner", "--type", "jwk", "--name", "waited", "--ca-url", enrolment.ca.url, "--fingerprint",
                 enrolment.ca.fingerprint, "--bucket", enrolment.stack.bucket, "--stack", STACK, "--replace", "--wait"]
    with open(path, "wb") as printed:
        started = enrolment.cli.start(*arguments, stdout=printed, COUNTERSIGN_GROUP=None)
    request, signed = enrolment.request("web-1"), []

    def sign():
        """By a function that is warm, and is not told of anything."""
        token = enrolment.one_time_token("web-1")
        signed.append(one_time_token.parts(token)[0]["kid"])
        request.keep(enrolment.ca.sign(request.pem, token))

    try:
        provisioner = json.loads(until(lambda: path.read_text() if path.read_text().endswith("}\n") else None))
        assert enrolment.secret("jwk") == before and started.poll() is None
        sign()
        assert signed == [before["kid"]], "the function is warm"
        enrolment.ca.restart(*enrolment.ca.provisioners, provisioner)
        while started.poll() is None:
            sign()
        assert started.returncode == 0, started.stderr.read().decode()
    finally:
        started.kill()
        started.communicate()
    new = enrolment.secret("jwk")["kid"]
    assert new == provisioner["key"]["kid"] != before["kid"]
    deadline = time.monotonic() + 120
    while signed.count(new) < 3:
        assert time.monotonic() < deadline, "the new key does not sign"
        sign()
        time.sleep(0.2)
    assert algorithm(enrolment, provisioner) == "ES256"


def test_a_missing_permission_is_named_and_stores_nothing(enrolment, operator):
    before = enrolment.secret("jwk"), enrolment.ca_object()
    iam, name = boto3.client("iam"), "step-operator"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    identity = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    code, out, said = operator("--type", "jwk", "--replace", **identity)
    assert code == 5 and "secretsmanager:" in said
    assert before == (enrolment.secret("jwk"), enrolment.ca_object())
    assert operator("--type", "jwk", "--replace", AWS_ENDPOINT_URL="http://127.0.0.1:1")[0] == 7


@pytest.fixture(scope="module")
def another_ca(tmp_path_factory):
    with StepCa(tmp_path_factory.mktemp("checked")) as ca:
        yield ca


def check(enrolment, ca, *trust):
    trust = trust or ("--fingerprint", ca.fingerprint)
    done = enrolment.command("--check", ca.url, *trust)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_check_tells_the_safe_from_the_unsafe_configuration(enrolment, another_ca, tmp_path):
    another_ca.restart(*[provisioner for provisioner, _ in enrolment.kinds.values()])
    code, said = check(enrolment, another_ca)
    assert code == 0 and "registrar-jwk" in said and "registrar-x5c" in said, said
    assert check(enrolment, another_ca, "--root", another_ca.root)[0] == 0
    private, public = foreign(tmp_path)
    unsafe = {"type": "JWK", "name": "leaky", "key": public, "encryptedKey": private}
    another_ca.restart(*another_ca.provisioners, unsafe)
    answer = another_ca.ask("GET", f"/provisioners/{public['kid']}/encrypted-key")
    assert answer.status == 200 and answer.content["key"], "anybody may have it"
    code, said = check(enrolment, another_ca)
    assert code == 4 and "leaky" in said, said
    assert check(enrolment, another_ca, "--root", another_ca.root)[0] == 4


def test_check_sees_every_page_of_provisioners(enrolment, another_ca, tmp_path):
    """step-ca lists twenty at a time."""
    keys = [ECKey.generate_key("P-256") for _ in range(45)]
    made = [{"type": "JWK", "name": f"n{number:02}", "key": key.as_dict(private=False) | {"kid": key.thumbprint(), "use": "sig",
             "alg": "ES256"}} for number, key in enumerate(keys)]
    another_ca.restart(*made)
    code, said = check(enrolment, another_ca)
    assert code == 0 and all(one["name"] in said for one in made)
    # Where it stands in the list is of chance.
    for number in (0, 22, 44):
        another_ca.restart(*[one | ({"encryptedKey": encrypted(keys[number])} if one is made[number] else {}) for one in made])
        assert check(enrolment, another_ca)[0] == 4


def test_check_pins_the_root(enrolment, another_ca):
    code, said = check(enrolment, another_ca, "--fingerprint", enrolment.ca.fingerprint)
    assert code == 8 and "hint: " in said, said
    code, said = check(enrolment, another_ca, "--root", enrolment.ca.root)
    assert code == 8, said


def test_check_of_a_ca_that_is_not_there_has_its_code(enrolment, another_ca):
    another_ca.stop()
    try:
        assert check(enrolment, another_ca)[0] == 7
    finally:
        another_ca.start()


def test_the_leaf_of_an_x5c_provisioner_rotates_and_step_ca_takes_the_new_one(enrolment):
    enrolment.use("x5c")
    try:
        subject = enrolment.subject()
        old = enrolment.one_time_token(subject)
        before = enrolment.secret("x5c")
        report = enrolment.stack.rotate()
        after = enrolment.secret("x5c")
        assert after["key"] != before["key"] and split(after["chain"])[1:] == split(before["chain"])[1:]
        assert report["x5c_leaf"] and "x5c_leaf_failed" not in report
        # As a minute later, when the function looks again.
        enrolment.restart()
        new = enrolment.one_time_token(subject)
        leaves = [one_time_token.parts(token)[0]["x5c"][0] for token in (old, new)]
        assert leaves[0] != leaves[1]
        assert leaves == ["".join(split(stored["chain"])[0].split("-----")[2].split()) for stored in (before, after)]
        for token in (old, new):
            request = enrolment.request(subject)
            certificate = request.keep(enrolment.ca.sign(request.pem, token))
            enrolment.ca.verify(certificate, certificate)
        events = logs.awaited(lambda: logs.audits("rotate", word=report["x5c_leaf"]["serial"]), "rotate")
        assert "PRIVATE KEY" not in json.dumps(events)
    finally:
        enrolment.use("jwk")


def test_that_no_new_leaf_is_made_is_an_event_of_its_own(enrolment):
    name = f"{STACK}/step-ca/x5c-intermediate"
    before = enrolment.secrets.get_secret_value(SecretId=name)["SecretString"]
    enrolment.secrets.put_secret_value(SecretId=name, SecretString="no intermediate")
    since = time.time() * 1000
    try:
        report = enrolment.stack.rotate()
        assert report["new_server_key"] and report["x5c_leaf_failed"] and "x5c_leaf" not in report
        [event] = logs.awaited(lambda: logs.audits("rotate", since, "rotate:x5c_leaf"), "rotate")
        assert (event["outcome"], event["reason"]) == ("failed", report["x5c_leaf_failed"])
    finally:
        enrolment.secrets.put_secret_value(SecretId=name, SecretString=before)
