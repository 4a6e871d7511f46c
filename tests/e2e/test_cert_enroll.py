"""`countersign cert enroll` and `cert inspect`, against the deployed broker and a real step-ca."""

import json
import pathlib
import re
import secrets
import stat

import pytest

from certs import Certs, Folder, shown
from lossy_ca import lossy
from step_ca import StepCa

EXAMPLE = pathlib.Path(__file__).parent.parent.parent / "docs/examples/enrolment/enrol.cedar"


@pytest.fixture
def certs(enrolment, tmp_path):
    return Certs(enrolment, tmp_path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def code_file(tmp_path, code):
    path = tmp_path / "code"
    path.write_text(code + "\n")
    path.chmod(0o600)
    return path


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_a_code_that_is_there_already(certs, enrolment, out, tmp_path):
    subject = enrolment.subject()
    code = enrolment.code(subject)
    status, printed, said = certs.run("enroll", subject, "--out", out, "--code-file", code_file(tmp_path, code))
    assert status == 0, said
    folder = Folder(out).check(enrolment.ca)
    assert folder.common_name() == subject and folder.sans() == {f"DNS:{subject}"}
    assert code not in printed + said and "PRIVATE" not in printed + said


@pytest.mark.parametrize("channel", ["sms", "mail", "webhook"])
def test_a_code_that_is_asked_for_and_read_from_standard_input(certs, enrolment, out, channel):
    subject = enrolment.subject()
    started = certs.start("enroll", subject, "--out", out, "--channel", channel, "--code-file", "-")
    _, said = started.communicate(certs.newest_code(subject, channel).encode() + b"\n", timeout=60)
    assert started.returncode == 0, said.decode()
    Folder(out).check(enrolment.ca)


def test_a_code_that_is_typed(certs, enrolment, out):
    subject = enrolment.subject()
    status, screen = certs.at_a_terminal(
        "enroll", subject, "--out", out, "--channel", "webhook",
        answers=[("ode", lambda: certs.newest_code(subject, "webhook") + "\n")])
    assert status == 0, screen
    Folder(out).check(enrolment.ca)


def test_a_bearer_needs_no_code(certs, enrolment):
    folder = certs.enroll(f"any-{secrets.token_hex(4)}").check(enrolment.ca)
    assert folder.certificate.read_text() == folder.chain.read_text()[:len(folder.certificate.read_text())]


@pytest.fixture
def example(enrolment, known_key):
    """The documentation's policies are in force, for an ssh key of a running agent: who runs the command, by that key."""
    agent, key = known_key
    text = EXAMPLE.read_text()
    [written] = set(re.findall(r"SHA256:[A-Za-z0-9+/]{43}", text))
    enrolment.stack.put_policy(text.replace(written, key.fingerprint), "example.cedar")

    def restart():
        for function in ("token", "enroll"):
            enrolment.stack.restart(function)

    restart()
    yield {"arguments": ["--key", key.fingerprint, "--fresh"], "environment": agent.env}
    enrolment.stack.s3.delete_object(Bucket=enrolment.stack.bucket, Key="policies/example.cedar")
    restart()


def test_the_example_policies_let_an_ssh_key_enrol_machines_and_revoke(certs, enrolment, example, out, tmp_path):
    """The command gets the access tokens itself, by the agent."""
    def run(*arguments):
        status, _, said = certs.run(*arguments, *example["arguments"], **example["environment"])
        return status, said

    name = f"line-{secrets.token_hex(4)}"
    status, said = run("enroll", name, "--out", out)
    assert status == 0, said
    folder = Folder(out).check(enrolment.ca)
    for other in ("pump-1", f"{name}.www.example.com"):
        for names in ([other], [name, "--san", other]):
            status, said = run("enroll", *names, "--out", tmp_path / "other")
            assert status == 5, said
    status, said = run("revoke", "--serial", folder.serial(), "--reason-code", "4", "--reason", "replaced", "--yes")
    assert status == 0, said
    assert enrolment.ca.renew(folder.chain, folder.key).status == 401


def test_a_group_needs_no_code(certs, enrolment, out):
    enrolment.cli.pull()
    subject = f"web-{secrets.token_hex(4)}"
    status, _, said = certs.run("enroll", subject, "--group", "web", "--out", out, COUNTERSIGN_MATERIAL=str(enrolment.cli.folder))
    assert status == 0, said
    Folder(out).check(enrolment.ca)


def test_a_one_time_token_of_somebody_elses(certs, enrolment, out, tmp_path):
    subject, ott = enrolment.subject(), tmp_path / "ott"
    ott.write_text(enrolment.one_time_token(subject))
    ott.chmod(0o600)
    status, _, said = certs.run("enroll", subject, "--out", out, "--ott-file", ott)
    assert status == 0, said
    Folder(out).check(enrolment.ca)
    status, _, said = certs.run("enroll", subject, "--out", tmp_path / "second", "--ott-file", ott)
    assert status == 4 and "hint: " in said and "certificate.pem" not in files(tmp_path / "second")


@pytest.mark.parametrize("kind", ["jwk", "x5c"])
def test_provisioners_of_both_kinds(certs, enrolment, kind):
    enrolment.use(kind)
    try:
        certs.enroll().check(enrolment.ca)
    finally:
        enrolment.use("jwk")


def test_other_names(certs, enrolment):
    names = ["www.example.com", "10.1.2.3", "ops@example.com", "spiffe://example.com/web"]
    folder = certs.enroll(None, *(part for name in names for part in ("--san", name))).check(enrolment.ca)
    assert folder.sans() == {"DNS:www.example.com", "IP Address:10.1.2.3", "email:ops@example.com", "URI:spiffe://example.com/web"}


@pytest.mark.parametrize("kind, text", [("ec-p256", "prime256v1"), ("rsa-2048", "(2048 bit)"), ("rsa-4096", "(4096 bit)")])
def test_kinds_of_keys(certs, enrolment, kind, text):
    assert text in shown(certs.enroll(None, "--key-type", kind).check(enrolment.ca).certificate, "-text")


def test_a_shorter_life(certs, enrolment):
    assert 3300 < certs.enroll(None, "--not-after", "1h").check(enrolment.ca).ends() <= 3600


def test_what_is_there_is_replaced_where_that_is_said_alone(certs, enrolment):
    folder = certs.enroll()
    subject, before = folder.common_name(), files(folder.path)
    again = ["enroll", subject, "--out", folder.path, "--token-file", certs.token]
    status, _, said = certs.run(*again)
    assert status == 2 and "--force" in said and files(folder.path) == before
    assert certs.run(*again, "--reuse-key")[0] == 0
    kept = files(folder.check(enrolment.ca).path)
    assert kept["key.pem"] == before["key.pem"] and kept["certificate.pem"] != before["certificate.pem"]
    assert certs.run(*again, "--force")[0] == 0
    assert files(folder.check(enrolment.ca).path)["key.pem"] != before["key.pem"]


def test_refusals_have_their_codes_and_leave_no_certificate(certs, enrolment, out, tmp_path):
    subject = enrolment.subject()
    wrong = code_file(tmp_path, "12345678")
    for expected, arguments, changes in [
        (4, ["--code-file", wrong], {}),
        (5, ["--token-file", certs.token, "--san", "crown-jewels"], {}),
        (7, ["--token-file", certs.token], {"COUNTERSIGN_URL": "http://127.0.0.1:1"}),
        (3, [], {}),
        (2, ["--token-file", certs.token, "--san", "a b"], {}),
    ]:
        status, printed, said = certs.run("enroll", subject, "--out", out, *arguments, **changes)
        assert status == expected, (arguments, said)
        assert printed == "" and not {"certificate.pem", "chain.pem"} & set(files(out))


@pytest.fixture
def moved(enrolment):
    """Has the broker say that the CA is elsewhere."""
    def move(url):
        content = json.loads(enrolment.ca_object()) | {"url": url}
        enrolment.stack.s3.put_object(Bucket=enrolment.stack.bucket, Key="step-ca/ca.json", Body=json.dumps(content))
        enrolment.restart()

    yield move
    enrolment.use("jwk")


def test_where_the_answer_is_lost_the_key_is_not(certs, enrolment, out, tmp_path, moved):
    subject = enrolment.subject()
    with lossy(enrolment.ca, tmp_path) as (url, lost):
        moved(url)
        status, _, said = certs.run("enroll", subject, "--out", out, "--token-file", certs.token)
        assert status in (7, 8) and "--reuse-key" in said, said
        assert [answer.status for answer in lost] == [201]
    key = out / "key.pem"
    made = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and "certificate.pem" not in files(out)
    moved(enrolment.ca.url)
    status, _, said = certs.run("enroll", subject, "--out", out, "--token-file", certs.token, "--reuse-key")
    assert status == 0, said
    assert Folder(out).check(enrolment.ca).key.read_bytes() == made


@pytest.fixture(scope="module")
def impostor(enrolment, tmp_path_factory):
    """A CA with another root, and provisioners that take the broker's tokens."""
    with StepCa(tmp_path_factory.mktemp("impostor"), [provisioner for provisioner, _ in enrolment.kinds.values()]) as ca:
        yield ca


def test_the_root_is_pinned_by_what_the_broker_says(certs, enrolment, impostor, out, moved):
    moved(impostor.url)
    status, _, said = certs.run("enroll", enrolment.subject(), "--out", out, "--token-file", certs.token)
    assert status == 8 and "hint: " in said and "certificate.pem" not in files(out)


def test_the_root_is_pinned_by_the_caller(certs, enrolment, impostor, tmp_path):
    """Before anything is asked of a CA, and in the form in which OpenSSL prints it."""
    subject = enrolment.subject()
    ask = ["enroll", subject, "--token-file", certs.token, "--out"]
    status, _, said = certs.run(*ask, tmp_path / "one", "--fingerprint", impostor.fingerprint)
    assert status == 8 and "hint: " in said and "certificate.pem" not in files(tmp_path / "one")
    printed = shown(enrolment.ca.root, "-fingerprint", "-sha256").split("=")[1]
    assert certs.run(*ask, tmp_path / "other", "--fingerprint", printed)[0] == 0


def test_a_certificate_is_told_in_words_and_in_json(certs, enrolment):
    folder = certs.enroll(None, "--san", "www.example.com")
    status, printed, said = certs.run("inspect", folder.path)
    assert status == 0 and folder.common_name() in printed and folder.serial() in printed and "www.example.com" in printed, said
    status, printed, said = certs.run("inspect", folder.path, "--json")
    assert status == 0 and folder.serial() in str(json.loads(printed)), said
    assert certs.run("inspect", folder.certificate)[0] == 0
    assert certs.run("inspect", folder.key)[0] != 0 and certs.run("inspect", folder.path / "none")[0] == 1
