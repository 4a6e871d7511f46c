"""What template.yaml grants, and the deployed roles with one action less."""

import contextlib
import json

import boto3

import template
from stack import STACK


def grants(*roles):
    """Every (role, statement, action) of these roles of the template; a role is named as its function."""
    resources = template.resources()
    for role in roles:
        [policy] = resources[f"{role.capitalize()}Role"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]:
            # !If [condition, statement, AWS::NoValue]
            statement = statement[1] if isinstance(statement, list) else statement
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                yield role, statement["Sid"], action


def role_of(role):
    """Its name in the deployed stack."""
    resource = boto3.client("cloudformation").describe_stack_resource(
        StackName=STACK, LogicalResourceId=f"{role.capitalize()}Role")
    return resource["StackResourceDetail"]["PhysicalResourceId"]


def statements_of(role):
    iam, name = boto3.client("iam"), role_of(role)
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]


@contextlib.contextmanager
def taken_away(role, sid, action):
    """The role without an action of a statement."""
    iam, name = boto3.client("iam"), role_of(role)
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    whole = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    less = json.loads(json.dumps(whole))
    [statement] = [statement for statement in less["Statement"] if statement["Sid"] == sid]
    actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
    statement["Action"] = [other for other in actions if other != action]
    if not statement["Action"]:
        less["Statement"].remove(statement)
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(less))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(whole))
