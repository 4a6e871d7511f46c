"""The older three routes, by a client that was written for them."""

import secrets

import pytest

import messages
from older_enroll_client import OlderEnrollClient

ERROR = "Error, "


@pytest.fixture
def client(enrolment):
    return OlderEnrollClient(enrolment.stack.url, enrolment.ca.url, enrolment.ca.root)


@pytest.fixture(scope="module")
def numbers(enrolment):
    """Subjects that are numbers, as the older service has them: with a telephone, and with a mail address alone."""
    run = secrets.randbelow(10**8)
    made = [str(10**9 + run), str(2 * 10**9 + run), str(3 * 10**9 + run)]
    addresses = {made[0]: {"sms": f"+39{made[0]}", "mail": f"{made[0]}@example.com"}, made[1]: {"mail": f"{made[1]}@example.com"},
                 made[2]: {"webhook": f"telegram:{made[2]}"}}
    enrolment.put_subjects(addresses, "older")
    enrolment.addresses |= addresses
    enrolment.restart()
    yield made
    enrolment.stack.s3.delete_object(Bucket=enrolment.stack.bucket, Key="subjects/older.json")
    enrolment.restart()


def newest(enrolment, number, channel):
    return messages.code_in(enrolment.received(number, channel)[-1])


@pytest.mark.parametrize("which, channel, form", [(0, "sms", str), (1, "mail", int), (2, "webhook", str)])
def test_an_older_client_enrols_end_to_end(enrolment, numbers, client, which, channel, form):
    number = form(numbers[which])
    assert client.registration(number) == "1111"
    code = newest(enrolment, str(number), channel)
    token = client.send_token(number, form(code))
    request = enrolment.request(str(number), [])
    certificate, issuer = client.sign(request.pem, token)
    request.certificate.write_text(certificate + issuer)
    enrolment.ca.verify(request.certificate, request.certificate)
    assert client.send_token(number, code).startswith(ERROR), "a code is good for once"


def test_forms_of_the_answers(enrolment, client):
    subject = enrolment.subject()
    assert client.post("/registration", {"number": subject}) == ("1111", "text/plain")
    text, media = client.post("/send_token", {"number": subject, "token": "12345678"})
    assert text.startswith('{"msg":') and media == "application/json"
    assert client.post("/revoke_token", {"number": "1"}) == (
        '{"msg":"Error, a code or a bearer token is needed"}', "application/json")


def test_refusals_are_told_in_the_older_form(enrolment, client):
    subject = enrolment.subject()
    stranger = f"nobody-{secrets.token_hex(4)}"
    assert client.registration(subject) == client.registration(stranger) == "1111"
    assert client.registration(subject) == client.registration(stranger) and client.registration(subject).startswith(ERROR)
    refusals = {client.send_token(subject, "x"), client.send_token(stranger, "12345678")}
    assert all(refusal.startswith(ERROR) for refusal in refusals)
    code = newest(enrolment, subject, "sms")
    wrong = {client.send_token(subject, f"{(int(code) + step) % 10**8:08}") for step in range(1, 6)}
    assert len(wrong) == 1 and wrong.pop().startswith(ERROR)
    assert client.send_token(subject, code).startswith(ERROR), "five tries"
    for path, content in (("/registration", {}), ("/send_token", {"number": subject}), ("/revoke_token", {"serial": "1"})):
        assert ERROR in client.post(path, content)[0]


def test_a_revocation_needs_a_code_or_a_bearer(enrolment, client):
    made = enrolment.certificate()
    serial = made.serial()
    assert client.revoke_token(serial) == "Error, a code or a bearer token is needed"
    assert client.revoke_token(serial, subject=made.subject, token="12345678",
                               certificate=made.certificate.read_text()).startswith(ERROR)
    assert client.revoke_token(serial, bearer="garbage").startswith(ERROR)
    assert enrolment.ca.renew(*made.identity).status == 201
    token = client.revoke_token(serial, bearer=enrolment.token_of_registrar)
    assert enrolment.ca.revoke(serial, token).status == 200
    assert enrolment.ca.renew(*made.identity).status == 401


def test_a_subject_revokes_its_own_by_a_code(enrolment, client):
    made = enrolment.certificate()
    assert client.registration(made.subject) == "1111"
    token = client.revoke_token(int(made.serial()), subject=made.subject, token=newest(enrolment, made.subject, "sms"),
                                certificate=made.certificate.read_text() + enrolment.ca.root.read_text())
    assert enrolment.ca.revoke(made.serial(), token).status == 200


def test_policy_tells_the_older_wire_from_the_newer(enrolment, client):
    subject = enrolment.subject()
    enrolment.stack.put_policy('forbid (principal, action == Action::"certificate:enroll", resource) when { context.wire == "v1" };',
                               "older-wire.cedar")
    enrolment.restart()
    try:
        client.registration(subject)
        assert client.send_token(subject, code := newest(enrolment, subject, "sms")).startswith(ERROR)
        assert enrolment.token(subject, code).status == 200
    finally:
        enrolment.stack.s3.delete_object(Bucket=enrolment.stack.bucket, Key="policies/older-wire.cedar")
        enrolment.restart()
