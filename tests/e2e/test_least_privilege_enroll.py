"""Each action of the enrolment's role is needed: without it, something that worked does not."""

import concurrent.futures
import contextlib

import pytest

import privileges
import template
from messages import CHANNELS
from waiting import until

# Logs have their test in test_least_privilege.py.
GRANTS = [grant for grant in privileges.grants("enroll") if not grant[2].startswith("logs:")]
# Statements on rows tell them by keys that the local AWS does not look at: an action is taken away from all of them at once.
ROWS = sorted({action for _, _, action in GRANTS if action.startswith("dynamodb:")})
TAKEN_AWAY = [[grant] for grant in GRANTS if grant[2] not in ROWS]
TAKEN_AWAY += [[grant for grant in GRANTS if grant[2] == action] for action in ROWS]


def by_code(enrolment, channel):
    """A token by a code, after a wrong one; nothing is open then."""
    subject = enrolment.subject()
    code = enrolment.code(subject, channel)
    assert enrolment.challenge(subject, channel).status == 429
    assert enrolment.token(subject, f"{(int(code) + 1) % 10**8:08}").status == 401
    assert enrolment.token(subject, code, sans=["www.bank.example"]).status == 403, "policies were read"
    assert enrolment.token(subject, code).status == 200


def works(enrolment):
    """All that the function does, from cold, by provisioners of both kinds."""
    try:
        for kind in ("x5c", "jwk"):
            enrolment.use(kind)
            enrolment.one_time_token(enrolment.subject())
            answer = enrolment.revocation("1", bearer=enrolment.token_of_registrar)
            assert answer.status == 200, answer
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda channel: by_code(enrolment, channel), CHANNELS))
        return True
    except AssertionError:
        return False


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """What does not arrive at once was not sent: the answer comes after the sending."""
    monkeypatch.setattr("enrolment.until", lambda holds, **options: until(holds, within=1, **options))


def test_the_whole_of_it_works(enrolment):
    assert works(enrolment)


@pytest.mark.parametrize("grants", TAKEN_AWAY, ids=lambda grants: "-".join(f"{sid}-{action}" for _, sid, action in grants))
def test_without_the_action_it_fails(enrolment, grants):
    with contextlib.ExitStack() as taken:
        for grant in grants:
            taken.enter_context(privileges.taken_away(*grant))
        assert not works(enrolment), f"these are not needed: {grants}"
    assert works(enrolment), "it was the action that was missing"


def test_what_the_role_may_is_bounded():
    """The local AWS does not hold all of it to the statements' bounds: they are read off the template."""
    [policy] = template.resources()["EnrollRole"]["Properties"]["Policies"]
    keys = {}
    for statement in policy["PolicyDocument"]["Statement"]:
        statement = statement[1] if isinstance(statement, list) else statement
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert not any("*" in action for action in actions), statement
        if actions == ["sns:Publish"]:
            assert statement["NotResource"].endswith(":sns:*:*:*"), "telephones, and no topic"
        elif actions == ["ses:SendEmail"]:
            _, on_aws, _ = statement["Resource"]
            assert all(":identity/" in str(resource) and ":identity/*" not in str(resource) for resource in on_aws)
            assert statement["Condition"][1] == {"StringEquals": {"ses:FromAddress": "MailSender"}}
        elif actions[0].startswith("dynamodb:"):
            bound = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
            keys |= {(action, bound): statement["Sid"] for action in actions}
        else:
            assert statement["Resource"] != "*"
    assert set(keys) == {
        ("dynamodb:GetItem", "code#*"), ("dynamodb:PutItem", "code#*"), ("dynamodb:DeleteItem", "code#*"),
        ("dynamodb:GetItem", "count#*"), ("dynamodb:UpdateItem", "count#*"), ("dynamodb:PutItem", "ott#*")}
