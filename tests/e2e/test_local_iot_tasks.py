"""Thing registration tasks of local/iot."""

import json
import time
import urllib.request

import pytest

from local_iot import (  # noqa: F401, fixtures
    ACCOUNT, ARN, REGION, REGISTRATION, Made, User, client, iot, name, refused, statements, template)


@pytest.fixture(scope="module")
def bucket():
    made = name("input")
    client("s3").create_bucket(Bucket=made, CreateBucketConfiguration={"LocationConstraint": REGION})
    return made


def role(actions, service="iot.amazonaws.com"):
    iam, made = client("iam"), name("role")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    arn = iam.create_role(RoleName=made, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=made, PolicyName="may", PolicyDocument=statements(actions))
    return arn


def run(iot, bucket, lines, role_arn, body):  # noqa: F811
    key = name("lines")
    client("s3").put_object(Bucket=bucket, Key=key, Body="\n".join(lines).encode())
    task = iot.start_thing_registration_task(
        templateBody=body, inputFileBucket=bucket, inputFileKey=key, roleArn=role_arn)["taskId"]
    for _ in range(200):
        described = iot.describe_thing_registration_task(taskId=task)
        if described["status"] not in ("InProgress", "Cancelling"):
            return task, described
        time.sleep(0.05)
    raise AssertionError(described)


def report(iot, task, kind):  # noqa: F811
    [link] = iot.list_thing_registration_task_reports(taskId=task, reportType=kind)["resourceLinks"]
    with urllib.request.urlopen(link, timeout=10) as answer:
        return [json.loads(line) for line in answer.read().splitlines()]


TASK = template({"ThingName": {"Ref": "Name"}}, {"CertificateSigningRequest": {"Ref": "Csr"}},
                Parameters={"Name": {"Type": "String"}, "Csr": {"Type": "String"}})
FOR_TASK = [*REGISTRATION, ("iot:CreateCertificateFromCsr", "*"), ("s3:GetObject", "arn:aws:s3:::input-*")]


def test_a_task_from_end_to_end(iot, bucket):  # noqa: F811
    things = [name(), name()]
    lines = [json.dumps({"Name": thing, "Csr": Made().csr}) for thing in things]
    lines[1:1] = ["not JSON", json.dumps({"Name": "a b", "Csr": "c"})]
    task, described = run(iot, bucket, lines, role(FOR_TASK), TASK)
    assert described["status"] == "Completed", described
    assert (described["successCount"], described["failureCount"], described["percentageProgress"]) == (2, 2, 100)
    assert described["templateBody"] == TASK and described["inputFileBucket"] == bucket
    assert described["creationDate"] <= described["lastModifiedDate"]
    results = report(iot, task, "RESULTS")
    assert [line["lineNumber"] for line in results] == [1, 4]
    assert results[0]["offset"] == 0 and results[1]["offset"] == sum(len(line) + 1 for line in lines[:3])
    assert results[0]["response"]["ResourceArns"]["device"] == f"{ARN}:thing/{things[0]}"
    assert "BEGIN CERTIFICATE" in results[0]["response"]["CertificatePem"]
    assert [line["lineNumber"] for line in report(iot, task, "ERRORS")] == [2, 3]
    assert [iot.describe_thing(thingName=thing)["thingName"] for thing in things] == things
    assert task in iot.list_thing_registration_tasks(status="Completed")["taskIds"]
    with refused("InvalidRequestException"):
        iot.stop_thing_registration_task(taskId=task)


def test_a_task_has_its_roles_permissions(iot, bucket):  # noqa: F811
    line = json.dumps({"Name": name(), "Csr": Made().csr})
    less = [grant for grant in FOR_TASK if grant[0] != "iot:CreateThing"]
    task, described = run(iot, bucket, [line], role(less), TASK)
    assert (described["status"], described["failureCount"]) == ("Completed", 1)
    assert "iot:CreateThing" in report(iot, task, "ERRORS")[0]["errorMessage"]
    assert iot.list_thing_registration_task_reports(taskId=task, reportType="RESULTS")["resourceLinks"] == []


def test_a_task_fails_without_its_file_or_its_role(iot, bucket):  # noqa: F811
    line = json.dumps({"Name": name(), "Csr": Made().csr})
    assert run(iot, bucket, [line], role(REGISTRATION), TASK)[1]["status"] == "Failed"
    assert run(iot, bucket, [line], role(FOR_TASK, "lambda.amazonaws.com"), TASK)[1]["status"] == "Failed"
    assert run(iot, bucket, [line], f"arn:aws:iam::{ACCOUNT}:role/nobody", TASK)[1]["message"]


def test_a_task_is_stopped(iot, bucket):  # noqa: F811
    lines = [json.dumps({"Name": name(), "Csr": Made().csr})] * 500
    key = name("lines")
    client("s3").put_object(Bucket=bucket, Key=key, Body="\n".join(lines).encode())
    task = iot.start_thing_registration_task(
        templateBody=TASK, inputFileBucket=bucket, inputFileKey=key, roleArn=role(FOR_TASK))["taskId"]
    iot.stop_thing_registration_task(taskId=task)
    for _ in range(200):
        described = iot.describe_thing_registration_task(taskId=task)
        if described["status"] == "Cancelled":
            break
        time.sleep(0.05)
    assert described["status"] == "Cancelled" and described["percentageProgress"] < 100


def test_a_task_is_refused(iot, bucket):  # noqa: F811
    with refused("ResourceNotFoundException"):
        iot.describe_thing_registration_task(taskId="nobody")
    wanted = {"templateBody": TASK, "inputFileBucket": bucket, "inputFileKey": "k", "roleArn": role(FOR_TASK)}
    with refused("InvalidRequestException"):
        iot.start_thing_registration_task(**wanted | {"inputFileBucket": "a b c"})
    user = User([("iot:StartThingRegistrationTask", "*")])
    with refused("UnauthorizedException") as caught:
        user.iot.start_thing_registration_task(**wanted)
    assert "iam:PassRole" in caught.value.response["Error"]["Message"]
    user.may([("iam:PassRole", wanted["roleArn"])])
    with refused("AccessDeniedException"):
        user.iot.start_thing_registration_task(**wanted)
