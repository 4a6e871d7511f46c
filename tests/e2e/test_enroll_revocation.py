"""Tokens that revoke: for bearers, and for subjects whose certificate it is; step-ca takes them, and renews nothing after."""

import time

import pytest

import one_time_token
from authority import openssl
from step_ca import Files


def chain(enrolment, certificate):
    """Leaf, intermediate, root."""
    return certificate.certificate.read_text() + enrolment.ca.root.read_text()


def ended(enrolment, certificate):
    """Whether the CA renews it no more."""
    return enrolment.ca.renew(*certificate.identity).status == 401


@pytest.fixture
def certificate(either):
    """A certificate that the CA renews."""
    made = either.certificate()
    answer = either.ca.renew(*made.identity)
    assert answer.status == 201
    made.keep(answer)
    either.ca.verify(made.certificate, made.certificate)
    return made


def test_a_bearer_revokes_by_number(either, certificate):
    serial = certificate.serial()
    answer = either.revocation(serial, bearer=either.token_of_registrar)
    assert answer.status == 200 and set(answer.content) == {"token", "ca", "expires_at"}
    token = answer.content["token"]
    _, claims = one_time_token.opened(either, token)
    fragment = {"jwk": "", "x5c": "#x5c/registrar-x5c"}[either.kind]
    assert (claims["sub"], claims["aud"]) == (serial, f"{either.ca.url}/1.0/revoke{fragment}")
    assert "sans" not in claims and claims["exp"] == claims["iat"] + 300
    revoked = either.ca.revoke(serial, token, reasonCode=1, reason="lost")
    assert (revoked.status, revoked.content) == (200, {"status": "ok"})
    assert ended(either, certificate)
    assert either.ca.revoke(serial, token).status == 401, "once"
    line = either.audited(answer)
    assert (line["action"], line["outcome"], line["serial"]) == ("enroll:revocation", "granted", serial)
    assert line["bearer"] == "network:registrar"


def test_a_subject_with_a_code_revokes_its_own(either, certificate):
    serial = certificate.serial()
    code = either.code(certificate.subject)
    answer = either.revocation(serial, subject=certificate.subject, code=code, certificate=chain(either, certificate))
    assert answer.status == 200, answer
    assert either.ca.revoke(serial, answer.content["token"]).status == 200 and ended(either, certificate)
    again = either.revocation(serial, subject=certificate.subject, code=code, certificate=chain(either, certificate))
    assert again.status == 401, "the code was spent"


def test_a_token_to_sign_does_not_revoke_and_one_to_revoke_does_not_sign(either, certificate):
    serial = certificate.serial()
    assert either.ca.revoke(serial, either.one_time_token(certificate.subject)).status == 401
    token = either.revocation(serial, bearer=either.token_of_registrar).content["token"]
    assert either.ca.sign(either.request(serial).pem, token).status == 401
    assert not ended(either, certificate)


def test_the_certificate_itself_revokes_over_mutual_tls(either, certificate):
    serial = certificate.serial()
    assert either.ca.revoke(str(int(serial) + 1), identity=certificate.identity).status == 400
    assert either.ca.revoke(serial, identity=certificate.identity).status == 200 and ended(either, certificate)


def stranger(folder, common_name):
    """A certificate of another CA, with a chain to its root."""
    files = Files(folder)
    key = files.folder / "leaf-key.pem"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    request = openssl("req", "-new", "-key", key, "-subj", f"/CN={common_name}")
    leaf = openssl("x509", "-req", "-CA", files.intermediate, "-CAkey", files.folder / "intermediate-key.pem", "-CAcreateserial",
                   "-days", 1, input=request)
    serial = str(int(openssl("x509", "-noout", "-serial", input=leaf).strip().split("=")[1], 16))
    return serial, leaf + files.intermediate.read_text() + files.root.read_text()


def test_a_code_revokes_no_certificate_of_somebody_else(enrolment, tmp_path):
    mine, other = enrolment.certificate(), enrolment.certificate()
    strange, strange_chain = stranger(tmp_path, mine.subject)
    intermediate, root = enrolment.ca.files.intermediate.read_text(), enrolment.ca.root.read_text()
    forged = strange_chain.replace(strange_chain[strange_chain.rindex("-----BEGIN"):], root)
    code = enrolment.code(mine.subject)
    wrong = {
        "of another": (other.serial(), chain(enrolment, other)),
        "another's number": (other.serial(), chain(enrolment, mine)),
        "of another CA": (strange, strange_chain),
        "under a root that did not sign": (strange, forged),
        "without root": (mine.serial(), mine.certificate.read_text()),
        "root alone": (mine.serial(), root),
        "a CA": (mine.serial(), intermediate + root),
        "not in order": (mine.serial(), root + mine.certificate.read_text()),
        "nothing": (mine.serial(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    }
    for case, (serial, shown) in wrong.items():
        answer = enrolment.revocation(serial, subject=mine.subject, code=code, certificate=shown)
        assert answer.status == 401, case
        assert enrolment.audited(answer)["reason"] == "wrong_certificate", case
    answer = enrolment.revocation(mine.serial(), subject=mine.subject, code=code, certificate=chain(enrolment, mine))
    assert answer.status == 200, "and the code is good"


def test_a_code_for_one_revokes_nothing_as_another(enrolment):
    mine, other = enrolment.certificate(), enrolment.certificate()
    code = enrolment.code(mine.subject)
    answer = enrolment.revocation(other.serial(), subject=other.subject, code=code, certificate=chain(enrolment, other))
    assert answer.status == 401


@pytest.mark.parametrize("name, scope", [("registrar", "things:write"), ("visitor", "certificates:write")])
def test_a_bearer_whom_policy_does_not_know_revokes_nothing(enrolment, name, scope):
    made = enrolment.certificate()
    answer = enrolment.revocation(made.serial(), bearer=enrolment.bearer(name, scope))
    assert answer.status == 403 and enrolment.audited(answer)["serial"] == made.serial()


def test_nobody_revokes_without_a_code_or_a_bearer(enrolment):
    made = enrolment.certificate()
    assert enrolment.revocation(made.serial()).status == 401
    answer = enrolment.revocation(made.serial(), subject=made.subject, code="12345678", certificate=chain(enrolment, made))
    assert answer.status == 401


def test_an_altered_or_expired_token_revokes_nothing(either):
    made = either.certificate()
    serial = made.serial()
    aud = one_time_token.right(either, serial)["aud"].replace("/sign", "/revoke")
    now = int(time.time())
    token = either.revocation(serial, bearer=either.token_of_registrar).content["token"]
    for bad in (one_time_token.with_signature(token), one_time_token.unsigned(token), one_time_token.with_claims(token, exp=now + 9),
                one_time_token.minted(either, serial, aud=aud, sans=[], nbf=now - 900, exp=now - 120)):
        assert either.ca.revoke(serial, bad).status == 401
    assert not ended(either, made)
    assert either.ca.revoke(serial, one_time_token.minted(either, serial, aud=aud)).status == 200 and ended(either, made)
