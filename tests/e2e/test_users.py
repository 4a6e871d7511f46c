"""scripts/create-user and scripts/delete-user, against the local AWS."""

import json
import os
import pathlib
import subprocess

import boto3
import pytest

SCRIPTS = pathlib.Path(__file__).parent.parent.parent / "scripts"


def document(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


LISTING = document(Effect="Allow", Action="s3:ListAllMyBuckets", Resource="*")


class User:
    """One user of the scripts, and what AWS has of it."""

    def __init__(self, name):
        self.name, self.secret = name, f"users/{name}"
        self.iam, self.secrets = boto3.client("iam"), boto3.client("secretsmanager")

    def run(self, script, **variables):
        ours = ("USER_", "CLIENT_GROUP", "DELETE_NOW")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment = clean | {"USER_NAME": self.name} | variables
        return subprocess.run([SCRIPTS / script], env=environment, capture_output=True, text=True, timeout=90)

    def create(self, **variables):
        """Its key, which the script did not print."""
        done = self.run("create-user", **variables)
        assert done.returncode == 0, done.stderr
        key = self.value().split(",")
        assert len(key) == 2 and not any(part in done.stdout + done.stderr for part in key)
        assert self.keys() == [key[0]]
        return key

    def delete(self, **variables):
        done = self.run("delete-user", **variables)
        assert done.returncode == 0, done.stderr

    def value(self):
        return self.secrets.get_secret_value(SecretId=self.secret)["SecretString"]

    def keys(self):
        return [key["AccessKeyId"] for key in self.iam.list_access_keys(UserName=self.name)["AccessKeyMetadata"]]

    def policy(self, name):
        return self.iam.get_user_policy(UserName=self.name, PolicyName=name)["PolicyDocument"]

    def policies(self):
        return self.iam.list_user_policies(UserName=self.name)["PolicyNames"]


@pytest.fixture
def user(stack, request):
    """A user's name of the test's own. What the test leaves is deleted."""
    made = User(request.node.name.replace("test_", "")[:64])
    yield made
    made.run("delete-user", DELETE_NOW="1")


@pytest.fixture
def operator(stack):
    """The credentials of somebody who may do everything but write secrets."""
    iam = boto3.client("iam")
    may = document(Effect="Allow", NotAction=["secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"], Resource="*")
    iam.create_user(UserName="operator")
    iam.put_user_policy(UserName="operator", PolicyName="may", PolicyDocument=may)
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    iam.delete_access_key(UserName="operator", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="operator", PolicyName="may")
    iam.delete_user(UserName="operator")


def session(key):
    return boto3.Session(aws_access_key_id=key[0], aws_secret_access_key=key[1])


def refused(call, *args, **kwargs):
    with pytest.raises(boto3.client("sts").exceptions.ClientError) as error:
        call(*args, **kwargs)
    return error.value.response["Error"]["Code"]


def test_the_key_in_the_secret_is_the_users_and_reads_its_groups_material_alone(user, stack):
    key = user.create(CLIENT_GROUP="batch")
    arn = session(key).client("sts").get_caller_identity()["Arn"]
    assert arn.endswith(f":user/countersign/{user.name}")
    s3 = session(key).client("s3")
    manifest = s3.get_object(Bucket=stack.bucket, Key="groups/batch/manifest.json")["Body"].read()
    assert json.loads(manifest) == stack.manifest("batch")
    # What v1 clients read, whose group this is.
    assert s3.get_object(Bucket=stack.bucket, Key="info2048.bin")["Body"].read() == stack.pool(stack.manifest("batch"))
    for place in ("groups/web/manifest.json", "policies/web.cedar", "groups/batch"):
        assert refused(s3.get_object, Bucket=stack.bucket, Key=place) == "AccessDenied", place
    assert refused(s3.list_objects_v2, Bucket=stack.bucket) == "AccessDenied"
    assert user.iam.list_user_tags(UserName=user.name)["Tags"] == [{"Key": "made-by", "Value": "countersign"}]


def test_a_user_of_another_group_reads_nothing_of_the_v1_clients(user, stack):
    s3 = session(user.create(CLIENT_GROUP="web")).client("s3")
    assert s3.get_object(Bucket=stack.bucket, Key="groups/web/manifest.json")
    for place in ("info2048.bin", "public.pem"):
        assert refused(s3.get_object, Bucket=stack.bucket, Key=place) == "AccessDenied", place


def test_run_again_it_replaces_the_key_and_leaves_what_no_variable_names(user, tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(LISTING)
    first = user.create(USER_POLICY=str(path), USER_CIDRS="192.0.2.0/24, 2001:db8::/32")
    second = user.create()
    assert first[0] != second[0] and user.policy("access") == json.loads(LISTING) and "networks" in user.policies()
    third = user.create(USER_CIDRS="")
    assert user.policies() == ["access"]
    session(third).client("s3").list_buckets()
    assert refused(session(second).client("sts").get_caller_identity) == "InvalidClientTokenId"


def test_a_key_that_cannot_be_stored_is_deleted_and_the_one_before_stays(user, operator):
    done = user.run("create-user", **operator)
    assert done.returncode == 1 and "AccessDenied" in done.stderr
    assert user.keys() == []
    held = user.create()
    assert user.run("create-user", **operator).returncode == 1
    assert user.keys() == [held[0]] and user.value() == ",".join(held)


def test_where_there_are_two_keys_the_one_that_nobody_holds_makes_room(user, operator):
    older = user.create()
    younger = user.iam.create_access_key(UserName=user.name)["AccessKey"]
    assert user.run("create-user", **operator).returncode == 1
    assert user.keys() == [older[0]], "the secret holds the older one"
    younger = user.iam.create_access_key(UserName=user.name)["AccessKey"]
    user.secrets.put_secret_value(SecretId=user.secret, SecretString=f"{younger['AccessKeyId']},{younger['SecretAccessKey']}")
    assert user.run("create-user", **operator).returncode == 1
    assert user.keys() == [younger["AccessKeyId"]], "the secret holds the younger one"
    user.iam.create_access_key(UserName=user.name)
    user.create()


def test_deleting_takes_key_user_and_secret_and_can_be_repeated(user):
    key = user.create()
    user.delete()
    assert refused(user.iam.get_user, UserName=user.name) == "NoSuchEntity"
    assert refused(session(key).client("sts").get_caller_identity) == "InvalidClientTokenId"
    assert "DeletedDate" in user.secrets.describe_secret(SecretId=user.secret)
    user.delete()
    # Within the recovery window the user can be made again.
    assert user.create()[0] != key[0]
    user.delete()
    user.delete(DELETE_NOW="1")
    assert refused(user.secrets.describe_secret, SecretId=user.secret) == "ResourceNotFoundException"
    user.delete(DELETE_NOW="1")


@pytest.mark.parametrize("script", ["create-user", "delete-user"])
def test_what_the_scripts_did_not_make_they_leave_alone(stack, user, script):
    user.iam.create_user(UserName=user.name)
    done = user.run(script)
    assert done.returncode == 1 and "is not below /countersign/" in done.stderr
    assert user.keys() == [] and user.policies() == []
    user.iam.delete_user(UserName=user.name)
    key = user.create()
    done = user.run(script, USER_SECRET="app/db")
    assert done.returncode == 1 and "is not of the user" in done.stderr
    assert user.keys() == [key[0]] and user.value() == ",".join(key)
    assert user.secrets.get_secret_value(SecretId="app/db")["SecretString"] == "correct horse battery staple"


def test_networks_bound_the_user_and_not_what_aws_does_for_it(user):
    """The local AWS tells policies no address: what it holds is read instead."""
    user.create(USER_CIDRS="192.0.2.0/24,2001:db8::/32")
    assert user.policy("networks")["Statement"] == [{
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {
            "NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]},
            "Bool": {"aws:ViaAWSService": "false"},
        },
    }]


@pytest.mark.parametrize("variables", [
    {"USER_CIDRS": ","},
    {"USER_CIDRS": "10.0.0.1/8"},
    {"CLIENT_GROUP": "*"},
    {"USER_POLICY": "/nonexistent"},
    {"USER_POLICY": __file__},
    {"STACK_NAME": "another"},
])
def test_wrong_variables_make_nothing(stack, variables):
    user = User("nobody")
    done = user.run("create-user", **variables)
    assert done.returncode == 1 and done.stderr.startswith("error: "), done.stderr
    assert refused(user.iam.get_user, UserName=user.name) == "NoSuchEntity"
    assert refused(user.value) == "ResourceNotFoundException"
