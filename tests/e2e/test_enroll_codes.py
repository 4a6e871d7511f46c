"""Codes: how they arrive, and that they are neither guessed, nor replayed, nor used for somebody else."""

import concurrent.futures
import hashlib
import json
import secrets
import time

import pytest

import messages
import waiting
from enrolment import source

CHALLENGE, TOKEN = "/v2/enroll/challenge", "/v2/enroll/token"


def row(enrolment, subject):
    return enrolment.stack.ledger.get_item(Key={"pk": f"code#{hashlib.sha256(subject.encode()).hexdigest()}"}).get("Item")


def others(code, count):
    """Codes that it is not."""
    return [f"{(int(code) + step) % 10**8:08}" for step in range(1, count + 1)]


def same(answers):
    """Whether answers have nothing that tells them apart but the time and the id of the request."""
    def told(answer):
        headers = {name.lower(): value for name, value in answer.headers.items()}
        kept = {name: value for name, value in headers.items()
                if name not in ("date", "x-request-id", "x-amzn-requestid", "x-amz-request-id")}
        return answer.status, kept, answer.content

    return all(told(answer) == told(answers[0]) for answer in answers)


@pytest.mark.parametrize("channel", messages.CHANNELS)
def test_a_code_arrives_by_each_channel_and_gets_one_token(enrolment, channel):
    subject = enrolment.subject()
    code = enrolment.code(subject, channel)
    answer = enrolment.token(subject, code)
    assert answer.status == 200 and answer.content["token"].count(".") == 2
    assert enrolment.token(subject, code).status == 401, "once"
    [text] = enrolment.received(subject, channel)
    assert subject in text and text.count(code) == 1


def test_a_mail_comes_from_the_deployments_address(enrolment):
    subject = enrolment.subject()
    enrolment.code(subject, "mail")
    [mail] = messages.mails(enrolment.addresses[subject]["mail"])
    assert mail["Source"] == messages.SENDER and mail["Subject"] and not mail["CC"] and not mail["BCC"]
    assert messages.code_in(mail["BodyText"]) not in mail["Subject"]


def test_a_text_message_is_sent_as_a_transaction(enrolment):
    subject = enrolment.subject()
    enrolment.code(subject, "sms")
    [message] = messages.sms(enrolment.addresses[subject]["sms"])
    assert "Transactional" in str(message["MessageAttributes"].get("AWS.SNS.SMS.SMSType"))
    assert len(message["Message"]) <= 160 and message["Message"].isascii(), "one part"


def test_codes_are_of_chance(enrolment):
    subjects = [enrolment.subject() for _ in range(12)]
    enrolment.warm(12)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(enrolment.code, subjects))
    assert len(set(codes)) == 12 and len({code[0] for code in codes}) > 2


def test_the_ledger_does_not_hold_the_code(enrolment):
    subject = enrolment.subject()
    before = time.time()
    code = enrolment.code(subject)
    kept = row(enrolment, subject)
    assert code not in str(kept) and hashlib.sha256(code.encode()).hexdigest() not in str(kept)
    assert before + 299 <= int(kept["ttl"]) <= time.time() + 301
    assert enrolment.token(subject, code).status == 200 and row(enrolment, subject) is None


def test_five_wrong_codes_end_the_right_one(enrolment):
    subject = enrolment.subject()
    code = enrolment.code(subject)
    answers = [enrolment.token(subject, wrong) for wrong in others(code, 5)] + [enrolment.token(subject, code)]
    assert {answer.status for answer in answers} == {401} and same(answers)
    assert [enrolment.audited(answer)["reason"] for answer in answers] == ["wrong_code"] * 5 + ["tries"]


def test_the_right_code_after_four_wrong_ones_is_good(enrolment):
    subject = enrolment.subject()
    code = enrolment.code(subject)
    assert {enrolment.token(subject, wrong).status for wrong in others(code, 4)} == {401}
    assert enrolment.token(subject, code).status == 200


def test_wrong_codes_at_the_same_time_are_counted_each(enrolment):
    subject = enrolment.subject()
    code = enrolment.code(subject)
    enrolment.warm(12)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda wrong: enrolment.token(subject, wrong), others(code, 12)))
    assert {answer.status for answer in answers} == {401}
    reasons = [enrolment.audited(answer)["reason"] for answer in answers]
    assert (reasons.count("wrong_code"), reasons.count("tries")) == (5, 7)
    assert enrolment.token(subject, code).status == 401


def test_a_code_that_several_show_at_once_gets_one_token(enrolment):
    subject = enrolment.subject()
    code = enrolment.code(subject)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda _: enrolment.token(subject, code).status, range(4)))
    assert statuses == [200, 401, 401, 401]


def test_a_code_is_good_for_no_other_subject(enrolment):
    one, other = enrolment.subject(), enrolment.subject()
    code, of_other = enrolment.code(one), enrolment.code(other)
    assert enrolment.token(other, code).status == 401 and enrolment.token(one, of_other).status == 401
    assert enrolment.token(one, code).status == 200, "it was not spent"


def test_a_code_of_yesterday_is_no_code(enrolment):
    """As if five minutes had gone by: the row's end is put back."""
    subject = enrolment.subject()
    code = enrolment.code(subject)
    past = int(time.time()) - 1
    # Its ttl stays for now: from then on the ledger deletes a row whenever it likes.
    enrolment.stack.ledger.put_item(Item=row(enrolment, subject) | {"expires_at": str(past)})
    answer = enrolment.token(subject, code)
    assert answer.status == 401 and enrolment.audited(answer)["reason"] == "ended_code"
    # The next one does not wait for the ledger's clean-up.
    enrolment.stack.ledger.put_item(Item=row(enrolment, subject) | {"ttl": past})
    assert enrolment.token(subject, enrolment.code(subject)).status == 200


def test_a_second_request_within_five_minutes_is_refused(enrolment):
    subject = enrolment.subject()
    code = enrolment.code(subject)
    answers = [enrolment.challenge(subject, channel) for channel in messages.CHANNELS]
    assert {answer.status for answer in answers} == {429}
    assert all(0 < int(answer.headers["Retry-After"]) <= 300 for answer in answers)
    assert {enrolment.audited(answer)["reason"] for answer in answers} == {"open_code"}
    assert len(enrolment.received(subject, "webhook")) == 1 and not enrolment.received(subject, "sms")
    assert enrolment.token(subject, code).status == 200, "the open one is good"
    enrolment.code(subject)


def test_whether_there_is_such_a_subject_or_address_shows_in_no_answer(enrolment):
    known, stranger = enrolment.subject(), f"nobody-{secrets.token_hex(4)}"
    cases = [(known, "webhook"), (stranger, "webhook"), (enrolment.nomail, "mail")]
    first = [enrolment.challenge(*case) for case in cases]
    assert first[0].status == 202 and same(first)
    assert [enrolment.audited(answer).get("reason") for answer in first] == [None, "unknown_subject", "no_address"]
    second = [enrolment.challenge(*case) for case in cases]
    assert {answer.status for answer in second} == {429}
    [code] = map(messages.code_in, enrolment.received(known, "webhook"))
    wrong = [enrolment.token(subject, guess) for subject, _ in cases for guess in others(code, 6)]
    assert {answer.status for answer in wrong} == {401} and same(wrong)
    assert same([*wrong, enrolment.token(f"nobody-{secrets.token_hex(4)}", code)]), "without a request before it"


def test_the_time_of_an_answer_does_not_tell_whether_something_was_sent(enrolment):
    enrolment.receiver.pause = 0.4
    try:
        for subject in (enrolment.subject(), f"nobody-{secrets.token_hex(4)}"):
            began = time.monotonic()
            assert enrolment.challenge(subject).status == 202
            assert time.monotonic() - began > 1.49
    finally:
        enrolment.receiver.pause = 0


def test_a_message_that_cannot_be_sent_is_audited_and_not_told(enrolment):
    subject = enrolment.subject()
    enrolment.receiver.status = 500
    try:
        answer = enrolment.challenge(subject)
    finally:
        enrolment.receiver.status = 204
    assert (answer.status, answer.content) == (202, {"expires_in": 300})
    assert enrolment.audited(answer)["outcome"] == "failed"


def test_a_source_that_asks_too_often_is_refused_whomever_it_asks_for(enrolment):
    with enrolment.stack.configured("enroll", ENROLL_RATE="3"):
        asking, other = source(), source()
        waiting.room(300)
        answers = [enrolment.challenge(f"nobody-{secrets.token_hex(4)}", source=asking) for _ in range(5)]
        assert [answer.status for answer in answers] == [202] * 3 + [429] * 2
        assert int(answers[-1].headers["Retry-After"]) <= 300
        line = enrolment.audited(answers[-1])
        assert (line["outcome"], line["reason"], line["source_ip"]) == ("refused", "rate", asking)
        tries = [enrolment.token(f"nobody-{secrets.token_hex(4)}", "12345678", source=asking) for _ in range(5)]
        assert [answer.status for answer in tries] == [401] * 3 + [429] * 2
        assert enrolment.challenge(enrolment.subject(), source=other).status == 202


def test_a_network_of_ipv6_is_one_source(enrolment):
    with enrolment.stack.configured("enroll", ENROLL_RATE="2"):
        prefix = f"2001:db8:{secrets.randbelow(65536):x}:1:"
        waiting.room(300)
        asked = [enrolment.challenge(f"nobody-{secrets.token_hex(4)}", source=f"{prefix}:{number:x}").status
                 for number in range(1, 5)]
        assert asked == [202, 202, 429, 429]


def test_a_subject_has_so_many_codes_a_day(enrolment):
    with enrolment.stack.configured("enroll", CODES_PER_DAY="2"):
        waiting.room(86_400)
        for subject in (enrolment.subject(), enrolment.subject()):
            for _ in range(2):
                assert enrolment.token(subject, enrolment.code(subject)).status == 200
            answer = enrolment.challenge(subject)
            assert answer.status == 429 and enrolment.audited(answer)["reason"] == "codes_per_day"


@pytest.mark.parametrize("path, body", [
    (CHALLENGE, {}),
    (CHALLENGE, {"subject": "a"}),
    (CHALLENGE, {"subject": "a", "channel": "pigeon"}),
    (CHALLENGE, {"subject": "a", "channel": "sms", "address": "+391234567890"}),
    (CHALLENGE, {"subject": "network:registrar", "channel": "sms"}),
    (CHALLENGE, {"subject": "", "channel": "sms"}),
    (CHALLENGE, {"subject": "a" * 65, "channel": "sms"}),
    (CHALLENGE, {"subject": ["a"], "channel": "sms"}),
    (TOKEN, {"subject": "a", "code": "1234567"}),
    (TOKEN, {"subject": "a", "code": 12345678}),
    (TOKEN, {"subject": "a", "code": "12345678", "sans": "a"}),
    (TOKEN, {"subject": "a", "code": "12345678", "sans": ["a b"]}),
    (TOKEN, {"subject": "a", "code": "12345678", "sans": [f"n{number}" for number in range(33)]}),
    (TOKEN, {"subject": "a", "code": "12345678", "csr_sha256": "00"}),
    (TOKEN, {"subject": "a", "code": "12345678", "phone": "+391234567890"}),
    (TOKEN, {"code": "12345678"}),
    ("/v2/enroll/revocation", {"serial": "0x12"}),
    ("/v2/enroll/revocation", {"serial": "012"}),
    ("/v2/enroll/revocation", {"serial": "12", "subject": "a", "code": "12345678"}),
])
def test_what_is_not_of_the_form_is_refused_as_such(enrolment, path, body):
    answer = enrolment.send(path, body)
    assert answer.status == 400 and answer.headers["Content-Type"] == "application/problem+json", answer
    assert same([answer, enrolment.send(CHALLENGE, {})])


def test_bodies_that_are_no_json_or_too_long_are_refused(enrolment):
    assert enrolment.send(CHALLENGE, b"{").status == 400
    assert enrolment.send(CHALLENGE, {"subject": "a", "channel": "sms"}, media="text/plain").status == 400
    assert enrolment.send(CHALLENGE, json.dumps({"subject": "a" * 66000}).encode()).status == 400


def test_the_address_never_comes_from_the_request(enrolment):
    """Nor from headers: a message went where the directory says, and there alone."""
    subject = enrolment.subject()
    before = len(enrolment.receiver.received)
    enrolment.code(subject)
    came = enrolment.receiver.received[before:]
    assert [json.loads(one.body)["data"]["address"] for one in came] == [enrolment.addresses[subject]["webhook"]]
