"""POST /bulkthings and GET /bulkthings/{taskId}, through API Gateway."""

import datetime
import json
import urllib.request

import pytest

import proxy
from interference import Interference, interfering
from provisioning import Things, new_name

ROWS, BAD = 1000, 10


def report(links):
    """The lines of a report."""
    lines = []
    for link in links:
        with urllib.request.urlopen(link, timeout=30) as answer:
            lines += [json.loads(line) for line in answer.read().decode().splitlines() if line]
    return lines


@pytest.fixture(scope="module")
def csr(factory):
    return factory.device("/CN=label").csr


def row(csr, **more):
    return {"ThingName": new_name("label"), "Serial": "1", "CSR": csr} | more


def test_of_a_thousand_things_ten_bad_ones_fail_and_both_reports_say_which(factory, csr):
    rows = [row(csr, Serial=str(number)) for number in range(ROWS)]
    bad = range(50, ROWS, ROWS // BAD)
    for number in bad:
        rows[number] |= {"ThingName": f"bad/{number}"} if number % 200 == 50 else {"CSR": "not a csr"}
    began = datetime.datetime.now(datetime.timezone.utc)
    status, headers, answer = factory.things.start(rows)
    assert status == 201 and set(answer) == {"taskId"}, answer
    done = factory.things.ended(answer["taskId"])
    assert set(done) == {"taskId", "status", "creationDate", "lastModifiedDate", "successCount", "failureCount",
                         "percentageProgress", "resultsReports", "errorsReports"}
    assert (done["taskId"], done["status"], done["percentageProgress"]) == (answer["taskId"], "Completed", 100)
    assert (done["successCount"], done["failureCount"]) == (ROWS - BAD, BAD)
    created, modified = (datetime.datetime.fromisoformat(done[name]) for name in ("creationDate", "lastModifiedDate"))
    assert began - datetime.timedelta(seconds=2) <= created <= modified
    assert [line["lineNumber"] for line in report(done["errorsReports"])] == [number + 1 for number in bad]
    results = report(done["resultsReports"])
    assert len(results) == ROWS - BAD
    for number in (0, ROWS - 1):
        shown = factory.things.send("GET", f"/things/{rows[number]['ThingName']}").content
        assert shown["attributes"] == {"serial": str(number)}
        assert len(shown["certificates"]) == 1 and len(shown["policies"]) == 3
    audit = factory.stack.audited(headers["x-request-id"], "provision")
    count, key, task = audit["detail"].split(", ")
    assert (count, task) == (f"{ROWS} things", f"task {answer['taskId']}") and key.startswith("bulk/label/")
    kept = factory.stack.ledger.get_item(Key={"pk": f"bulk#{key.split('/')[-1]}"})["Item"]
    assert (kept["input"], kept["things"], kept["wants"]) == (key, str(ROWS), "label")
    assert (kept["subject"], kept["policies"]) == ("network:factory", audit["policies"]) and kept["policies"]


def test_a_request_names_a_group_in_place_of_a_template(factory, csr):
    group = new_name("g")
    factory.iot.create_thing_group(thingGroupName=group)
    factory.put_template("assignments", {group: "label"})
    body = {"groupPath": f"/{group}", "parameters": [row(csr)]}
    status, _, answer = factory.things.send("POST", "/bulkthings", body)
    assert status == 201, answer
    assert factory.things.ended(answer["taskId"])["successCount"] == 1


def test_a_task_of_which_nothing_comes_has_one_report(factory, csr):
    done = factory.things.ended(factory.things.start([row("not a csr")]).content["taskId"])
    assert (done["successCount"], done["failureCount"], done["resultsReports"]) == (0, 1, [])
    assert len(report(done["errorsReports"])) == 1


ONE = {"ThingName": "never", "Serial": "1", "CSR": "x"}
BAD_REQUESTS = {
    "not JSON": b"{",
    "no rows": {"provisioningTemplateId": "label", "parameters": []},
    "no parameters": {"provisioningTemplateId": "label"},
    "an object for rows": {"provisioningTemplateId": "label", "parameters": ONE},
    "a row that is none": {"provisioningTemplateId": "label", "parameters": [ONE, "never"]},
    "a value that is no text": {"provisioningTemplateId": "label", "parameters": [ONE | {"Serial": 1}]},
    "more rows than are taken": {"provisioningTemplateId": "label", "parameters": [{"ThingName": "n"}] * 10_001},
    "a certificate for each": {"provisioningTemplateId": "sensor", "parameters": [ONE]},
    "a certificate of AWS for each": {"provisioningTemplateId": "aws", "parameters": [ONE]},
    "a certificate of a private CA for each": {"provisioningTemplateId": "private-with", "parameters": [ONE]},
    "an unknown template": {"provisioningTemplateId": "no-such-template", "parameters": [ONE]},
    "a path for a template": {"provisioningTemplateId": "../label", "parameters": [ONE]},
    "no template": {"parameters": [ONE]},
    "an unknown member": {"provisioningTemplateId": "label", "parameters": [ONE], "color": "red"},
    "parameters for a certificate": {
        "provisioningTemplateId": "label", "parameters": [ONE], "cdfProvisioningParameters": {}},
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_refused(factory, case):
    status, _, answer = factory.things.send("POST", "/bulkthings", BAD_REQUESTS[case])
    assert status == 400 and set(answer) == {"error"} and answer["error"], answer


def test_more_than_four_mebibytes_are_refused(factory):
    status, _, answer = factory.things.start([row("x" * 4000) for _ in range(1100)])
    assert status == 400 and set(answer) == {"error"}


def test_a_template_that_ties_the_client_id_goes_for_bulk_and_policy_is_asked(factory, csr):
    visitor = Things(factory.stack, factory.token("visitor", "things:read"))
    body = {"provisioningTemplateId": "label", "parameters": [row(csr)]}
    assert visitor.send("POST", "/bulkthings", body).status == 403
    task = factory.things.send("POST", "/bulkthings", body).content["taskId"]
    factory.things.ended(task)
    assert visitor.send("GET", f"/bulkthings/{task}").status == 403


@pytest.mark.parametrize("task", ["0e3a7c51-0000-4000-8000-000000000000", "no-such-task", "x" * 41])
def test_a_task_that_is_not_there_is_not_found(factory, task):
    status, _, answer = factory.things.send("GET", f"/bulkthings/{task}")
    assert status == 404 and set(answer) == {"error"}


def test_a_task_that_others_started_is_not_shown(factory):
    """One whose input is not the broker's: nobody can say by which policy it might be seen."""
    role = factory.stack.lambda_.get_function_configuration(
        FunctionName=factory.stack.function("provision"))["Environment"]["Variables"]["BULK_ROLE_ARN"]
    factory.stack.s3.put_object(Bucket=factory.stack.bucket, Key="elsewhere.jsonl", Body=b"{}\n")
    task = factory.iot.start_thing_registration_task(
        templateBody="{}", inputFileBucket=factory.stack.bucket, inputFileKey="elsewhere.jsonl", roleArn=role)["taskId"]
    assert factory.things.send("GET", f"/bulkthings/{task}").status == 404


@pytest.mark.parametrize("operation", [
    "GetObject", "PutObject", "PutItem", "StartThingRegistrationTask", "DescribeThingRegistrationTask",
    "ListThingRegistrationTaskReports"])
@pytest.mark.parametrize("manner, expected", [("throttles", 429), ("fails", 503)])
def test_what_throttles_or_fails_is_told(factory, csr, operation, manner, expected):
    task = factory.things.start([row(csr)]).content["taskId"]
    factory.things.ended(task)
    with proxy.running(Interference) as url, factory.stack.configured("provision", ENDPOINT_URL=url):
        with interfering(**{operation: manner}) as seen:
            if operation.startswith(("Describe", "List")):
                status, headers, answer = factory.things.send("GET", f"/bulkthings/{task}")
            else:
                status, headers, answer = factory.things.start([row(csr)])
    assert operation in seen
    assert (status, bool(headers["Retry-After"]), set(answer)) == (expected, True, {"error"}), answer
