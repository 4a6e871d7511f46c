"""Who may have a token: bearers, groups, subjects with a code, and what policy says of each."""

import secrets

import pytest

import one_time_token
from stack import STACK


def want(subject, **more):
    return {"type": "enrollment_token", "subject": subject} | more


def exchanged(stack, *wants, **options):
    status, answer = stack.exchange(list(wants), **options)
    return status, answer


def test_a_bearer_needs_no_code_and_gets_what_policy_gives_it(enrolment):
    answer = enrolment.token(f"any-{secrets.token_hex(4)}", bearer=enrolment.token_of_registrar, sans=["www.example.com"])
    assert answer.status == 200
    line = enrolment.audited(answer)
    assert (line["action"], line["outcome"], line["bearer"]) == ("enroll:token", "granted", "network:registrar")
    assert line["policies"] and line["source_ip"] == "127.0.0.1"


@pytest.mark.parametrize("name, scope", [("registrar", "things:write"), ("visitor", "certificates:write")])
def test_a_bearer_whom_policy_does_not_know_is_denied(enrolment, name, scope):
    subject = enrolment.subject()
    answer = enrolment.token(subject, bearer=enrolment.bearer(name, scope))
    assert answer.status == 403
    line = enrolment.audited(answer)
    assert (line["outcome"], line["bearer"], line["subject"]) == ("denied", f"network:{name}", subject)


def test_a_bearer_that_is_none_is_refused_as_a_wrong_code_is(enrolment):
    subject = enrolment.subject()
    token = enrolment.token_of_registrar
    foreign = enrolment.stack.issue({"network": "192.0.2.0/24", "seconds": 60, "scope": "certificates:write", "name": "registrar"})
    answers = [enrolment.token(subject, bearer=bearer)
               for bearer in ("garbage", one_time_token.with_signature(token), one_time_token.unsigned(token),
                              foreign["access_token"], enrolment.one_time_token(subject))]
    wrong = enrolment.token(subject, "12345678")
    assert {answer.status for answer in [*answers, wrong]} == {401}
    assert len({answer.content["title"] + str(answer.content.get("detail")) for answer in [*answers, wrong]}) == 1


def test_a_bearer_and_a_code_at_once_are_a_mistake(enrolment):
    assert enrolment.token(enrolment.subject(), "12345678", bearer=enrolment.token_of_registrar).status == 400


def test_a_group_gets_tokens_by_an_exchange_for_the_names_that_policy_gives_it(enrolment):
    stack, subject = enrolment.stack, f"web-{secrets.token_hex(4)}"
    request = enrolment.request(subject, ["DNS:a.web.example.com"])
    status, answer = exchanged(stack, want(subject, sans=["a.web.example.com"], csr_sha256=request.digest()),
                               {"type": "secret", "id": "app/db"})
    assert status == 200
    granted = answer["granted"][0]
    assert granted["ca"] == {"url": enrolment.ca.url, "fingerprint": enrolment.ca.fingerprint}
    _, claims = one_time_token.opened(enrolment, granted["token"])
    assert (claims["sub"], claims["sans"]) == (subject, ["a.web.example.com"]) and claims["cnf"]
    assert granted["expires_at"] == claims["exp"]
    request.keep(enrolment.ca.sign(request.pem, granted["token"]))


@pytest.mark.parametrize("subject, sans", [
    ("batch-1", []), ("web-1", ["www.bank.example"]), ("web-1", ["a.web.example.com", "10.0.0.1"]), ("crown-web-1", [])])
def test_a_group_is_denied_other_names_and_gets_nothing_beside(enrolment, subject, sans):
    status, answer = exchanged(enrolment.stack, want(subject, sans=sans), {"type": "secret", "id": "app/db"})
    assert status == 403 and "granted" not in answer


def test_another_group_gets_no_token(enrolment):
    assert exchanged(enrolment.stack, want("web-1"), manifest=enrolment.stack.manifest("batch"))[0] == 403


def test_each_name_of_a_certificate_is_asked_about(enrolment):
    subject = enrolment.subject()
    for sans in (["www.bank.example"], [subject, "www.bank.example"], ["node.shared.example.com", "10.0.0.1"], ["root@example.com"]):
        code = enrolment.code(subject)
        answer = enrolment.token(subject, code, sans=sans)
        assert answer.status == 403 and enrolment.audited(answer)["outcome"] == "denied"
        # A denial spends no code: the subject may ask for less.
        assert enrolment.token(subject, code, sans=["node.shared.example.com"]).status == 200


def test_a_subject_that_policy_forbids_is_denied_after_its_proof_and_not_before(enrolment):
    code = enrolment.code(enrolment.crown)
    assert enrolment.token(enrolment.crown, f"{(int(code) + 1) % 10**8:08}").status == 401
    assert enrolment.token(enrolment.crown, code).status == 403


def test_policy_sees_by_which_channel_the_code_went(enrolment):
    code = enrolment.code(enrolment.nosms, "sms")
    answer = enrolment.token(enrolment.nosms, code)
    assert answer.status == 403 and enrolment.audited(answer)["channel"] == "sms"


def test_an_issuance_is_audited_and_no_token_is_logged(enrolment):
    subject = enrolment.subject()
    answer = enrolment.token(subject, enrolment.code(subject))
    line = enrolment.audited(answer)
    _, claims = one_time_token.parts(answer.content["token"])
    assert (line["action"], line["outcome"], line["subject"]) == ("enroll:token", "granted", subject)
    assert line["channel"] == "webhook" and line["policies"]
    assert claims["jti"] in str(line), "the key of its row in the ledger"
    lines = str(enrolment.stack.events(answer.headers["x-request-id"], "enroll"))
    assert answer.content["token"].split(".")[2] not in lines


@pytest.fixture
def without_ca(enrolment):
    """A deployment that was told of no CA."""
    content = enrolment.ca_object()
    enrolment.stack.s3.delete_object(Bucket=enrolment.stack.bucket, Key="step-ca/ca.json")
    enrolment.restart()
    yield enrolment
    enrolment.stack.s3.put_object(Bucket=enrolment.stack.bucket, Key="step-ca/ca.json", Body=content)
    enrolment.restart()


def test_a_deployment_without_a_ca_gives_no_token(without_ca):
    answer = without_ca.token(without_ca.subject(), bearer=without_ca.token_of_registrar)
    assert answer.status == 503 and without_ca.audited(answer)["outcome"] == "failed"
    assert exchanged(without_ca.stack, want("web-1"))[0] == 404


def test_a_directory_that_is_wrong_leaves_the_last_good_one(enrolment):
    """It is read again each minute: the function that has read the good one is the one that goes on with it."""
    subject = enrolment.subject()
    assert enrolment.token(subject, enrolment.code(subject)).status == 200
    enrolment.put_subjects({subject: {"fax": "+391234567"}}, "wrong")
    try:
        assert enrolment.token(subject, enrolment.code(subject)).status == 200
        enrolment.stack.restart("enroll")
        answer = enrolment.challenge(enrolment.subject())
        assert answer.status == 503 and enrolment.audited(answer)["outcome"] == "failed", "one that never read a good one"
    finally:
        enrolment.stack.s3.delete_object(Bucket=enrolment.stack.bucket, Key="subjects/wrong.json")
        enrolment.stack.restart("enroll")


def test_keys_of_the_ca_are_in_no_functions_settings(enrolment):
    for function in ("enroll", "exchange", "rotate"):
        settings = str(enrolment.stack.lambda_.get_function_configuration(FunctionName=f"{STACK}-{function}"))
        assert enrolment.secret("jwk")["d"] not in settings
