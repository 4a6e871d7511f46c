"""Each action of each function's role is needed: without it, something that worked does not."""

import pytest

import privileges
import token_client
from stack import STACK

SECRET = {"type": "secret", "id": "app/db"}

GRANTS = list(privileges.grants("exchange", "token", "authorize", "issue", "rotate"))
# Logs have a test of their own below; the token's is with the registry, in test_npm.py; devices are in
# test_least_privilege_devices.py, enrolment in test_least_privilege_enroll.py.
TAKEN_AWAY = [grant for grant in GRANTS if not grant[2].startswith("logs:") and grant[1] != "NpmToken"]
LOGS = [grant for grant in privileges.grants("exchange", "token", "authorize", "issue", "provision", "enroll", "rotate")
        if grant[2].startswith("logs:")]


@pytest.fixture(scope="module", autouse=True)
def provisioned(enrolment):
    """A step-ca, for one-time tokens."""


def works(stack, key):
    """Everything that the deployed functions do, from cold."""
    for function in ("exchange", "token", "authorize", "issue"):
        stack.restart(function)
    try:
        # Ending the tokens makes a new key of them each time, and publishes it.
        report = stack.rotate(end_tokens=True)
        if "x5c_leaf" not in report or "v1_copies_failed" in report or any("deleted_pool_id" not in rotated for rotated in report["rotated"]):
            return False
        # An exchange of each kind, and a denial that shows that policies were read.
        wants = [SECRET, {"type": "aws", "role": "deploy"}, {"type": "access_token"},
                 {"type": "enrollment_token", "subject": "web-1"}]
        exchanged = stack.exchange(wants)[0] == 200 and stack.exchange([{"type": "secret", "id": "ops/root"}])[0] == 403
        token = token_client.get_token(stack, *key)
        issued = stack.issue({"network": "127.0.0.0/8", "seconds": 60})["access_token"]
        return exchanged and all(
            stack.http("GET", route, headers={"Authorization": f"Bearer {bearer}"})[0] == 200
            for route in ("/verify", "/v2/whoami") for bearer in (token, issued))
    except AssertionError:
        return False


def test_the_whole_of_it_works(stack, known_key):
    assert works(stack, known_key)


def test_the_roles_grant_this_and_nothing_else():
    assert sorted(GRANTS) == sorted([
        ("exchange", "Material", "s3:GetObject"),
        ("exchange", "Policies", "s3:GetObject"),
        ("exchange", "ListPolicies", "s3:ListBucket"),
        ("exchange", "ServerKey", "secretsmanager:GetSecretValue"),
        ("exchange", "TokenKey", "secretsmanager:GetSecretValue"),
        ("exchange", "PublicKeys", "s3:GetObject"),
        ("exchange", "StepCa", "s3:GetObject"),
        ("exchange", "StepKeys", "secretsmanager:GetSecretValue"),
        ("exchange", "ClientSecrets", "secretsmanager:GetSecretValue"),
        ("exchange", "Ledger", "dynamodb:PutItem"),
        ("exchange", "Logs", "logs:CreateLogStream"),
        ("exchange", "Logs", "logs:PutLogEvents"),
        ("exchange", "ClientRoles", "sts:AssumeRole"),
        ("token", "TokenKey", "secretsmanager:GetSecretValue"),
        ("token", "PublicKeys", "s3:GetObject"),
        ("token", "SshKeys", "s3:GetObject"),
        ("token", "Policies", "s3:GetObject"),
        ("token", "List", "s3:ListBucket"),
        ("token", "Nonces", "dynamodb:DeleteItem"),
        ("token", "Ledger", "dynamodb:PutItem"),
        ("token", "Logs", "logs:CreateLogStream"),
        ("token", "Logs", "logs:PutLogEvents"),
        ("authorize", "PublicKeys", "s3:GetObject"),
        ("authorize", "Logs", "logs:CreateLogStream"),
        ("authorize", "Logs", "logs:PutLogEvents"),
        ("issue", "TokenKey", "secretsmanager:GetSecretValue"),
        ("issue", "PublicKeys", "s3:GetObject"),
        ("issue", "Ledger", "dynamodb:PutItem"),
        ("issue", "Logs", "logs:CreateLogStream"),
        ("issue", "Logs", "logs:PutLogEvents"),
        ("rotate", "Material", "s3:GetObject"),
        ("rotate", "Material", "s3:PutObject"),
        ("rotate", "EndedPools", "s3:DeleteObject"),
        ("rotate", "V1Copies", "s3:PutObject"),
        ("rotate", "NpmToken", "secretsmanager:GetSecretValue"),
        ("rotate", "ListMaterial", "s3:ListBucket"),
        ("rotate", "ServerKey", "secretsmanager:GetSecretValue"),
        ("rotate", "ServerKey", "secretsmanager:PutSecretValue"),
        ("rotate", "TokenKey", "secretsmanager:GetSecretValue"),
        ("rotate", "TokenKey", "secretsmanager:PutSecretValue"),
        ("rotate", "StepCaIssuer", "secretsmanager:GetSecretValue"),
        ("rotate", "StepCaLeaf", "secretsmanager:GetSecretValue"),
        ("rotate", "StepCaLeaf", "secretsmanager:PutSecretValue"),
        ("rotate", "PublicKeys", "s3:GetObject"),
        ("rotate", "PublicKeys", "s3:PutObject"),
        ("rotate", "Url", "ssm:GetParameter"),
        ("rotate", "Logs", "logs:CreateLogStream"),
        ("rotate", "Logs", "logs:PutLogEvents"),
    ])


@pytest.mark.parametrize("function, sid, action", TAKEN_AWAY)
def test_without_the_action_it_fails(stack, known_key, function, sid, action):
    with privileges.taken_away(function, sid, action):
        assert not works(stack, known_key), f"{function} does not need {action} of {sid}"
    # What the failed attempt left behind is mended, and it was the action that was missing.
    stack.restart("exchange")
    stack.rotate()
    assert works(stack, known_key)


@pytest.mark.parametrize("function, sid, action", LOGS)
def test_logs_are_granted_on_the_functions_own_group(stack, function, sid, action):
    """The local AWS takes logs without asking the role, so that it may is read off the deployed role itself."""
    [statement] = [statement for statement in privileges.statements_of(function) if statement["Sid"] == sid]
    assert action in statement["Action"]
    assert statement["Resource"].endswith(f":log-group:/aws/lambda/{STACK}-{function}:*")
    configuration = stack.lambda_.get_function_configuration(FunctionName=f"{STACK}-{function}")
    assert configuration["LoggingConfig"]["LogGroup"] == f"/aws/lambda/{STACK}-{function}"
