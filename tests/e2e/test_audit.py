"""What a spammer did, read off the audit log: of CloudWatch Logs, and of a file."""

import csv
import io
import json
import os
import secrets
import subprocess
import sys
import time

import boto3
import pytest

import logs
import spammer
from stack import STACK
from waiting import until

# Of this run of this module alone.
NETWORK = f"203.0.{secrets.randbelow(256)}"
SOURCE, OTHER = f"{NETWORK}.66", f"{NETWORK}.99"


@pytest.fixture(scope="module")
def audit(enrolment):
    """Runs the command: its standard output."""
    def run(*arguments, expected=0, **changes):
        done = enrolment.cli.run("audit", *map(str, arguments), **{"COUNTERSIGN_GROUP": None, "COUNTERSIGN_STACK": STACK} | changes)
        assert done.returncode == expected, done.stderr.decode()
        return done.stdout.decode() if expected == 0 else done.stderr.decode()

    return run


@pytest.fixture(scope="module")
def spam(enrolment, audit):
    """What was done: by whom, for whom, and how often."""
    made = spammer.Spammer(enrolment.stack.url, enrolment.ca.url, enrolment.ca.root, SOURCE)
    victims = [enrolment.subject() for _ in range(4)]
    nobody = [f"nobody-{secrets.token_hex(4)}" for _ in range(2)]
    enrolled = enrolment.certificate()
    code = enrolment.code(enrolled.subject)
    answer = enrolment.token(enrolled.subject, code)
    token = answer.content["token"]
    enrolled.keep(enrolment.ca.sign(enrolled.pem, token))
    made.ask_and_never_finish(victims + nobody, ["webhook", "sms"])
    made.guess(victims[0])
    made.guess(victims[1], spammer.CODES[:2])
    made.replay(enrolled.subject, code)
    made.replay_as_bearer(enrolled.subject, token)
    made.replay_at_the_ca(enrolled.pem, token)
    made.victims, made.nobody, made.enrolled = victims, nobody, enrolled
    logs.awaited(lambda: len(read(audit("--since", "1h", "--source", SOURCE, "--format", "json"))) >= 27, "enroll")
    return made


def read(text):
    return [json.loads(line) for line in text.splitlines()]


def test_nothing_that_the_spammer_did_got_it_anything(spam):
    assert spam.done["asked"] == {202: 6, 429: 6}
    assert spam.done["guessed"] == {401: 9} and spam.done["replayed"] == {401: 6} and spam.done["replayed at the CA"] == {401: 3}


def test_what_it_did_stands_in_the_log(spam, audit):
    lines = read(audit("--since", "1h", "--function", "enroll", "--source", SOURCE, "--format", "json"))
    assert len(lines) == 27 and {line["source_ip"] for line in lines} == {SOURCE}
    assert all(line["timestamp"] and line["request_id"] for line in lines)

    def of(action, reason):
        return sorted(line["subject"] for line in lines if (line["action"], line.get("reason")) == (action, reason))

    assert of("enroll:challenge", None) == sorted(spam.victims)
    assert of("enroll:challenge", "unknown_subject") == sorted(spam.nobody)
    assert of("enroll:challenge", "open_code") == sorted([*spam.victims, *spam.nobody])
    assert of("enroll:token", "wrong_code") == sorted([spam.victims[0]] * 5 + [spam.victims[1]] * 2)
    assert of("enroll:token", "tries") == [spam.victims[0]] * 2
    assert of("enroll:token", "no_code") == [spam.enrolled.subject] * 3
    assert {line["outcome"] for line in lines if line["action"] == "enroll:token"} == {"refused"}


@pytest.mark.parametrize("filters, expected", [
    (["--outcome", "granted"], 4),
    (["--outcome", "refused"], 23),
    (["--action", "enroll:challenge"], 12),
    (["--action", "enroll:*", "--reason", "tries"], 2),
    (["--reason", "wrong_*"], 7),
    (["--reason", "open_code", "--reason", "tries"], 8),
    (["--until", "2020-01-01T00:00:00Z", "--since", "2019-01-01T00:00:00Z"], 0),
])
def test_filters(spam, audit, filters, expected):
    since = [] if "--since" in filters else ["--since", "1h"]
    assert len(read(audit(*since, "--source", SOURCE, "--format", "json", *filters))) == expected


def test_a_subject_is_found(spam, audit):
    [asked, again] = read(audit("--since", "1h", "--subject", spam.nobody[0], "--format", "json"))
    assert (asked["reason"], again["reason"]) == ("unknown_subject", "open_code")


def test_a_network_is_a_source_too(spam, audit):
    lines = read(audit("--since", "1h", "--source", f"{NETWORK}.64/30", "--format", "json"))
    assert len(lines) == 27


def test_top_names_the_spammer_first(spam, enrolment, audit):
    for number in range(3):
        enrolment.token(f"mistaken-{number}", "12345678", source=OTHER)
    network = ["--since", "1h", "--source", f"{NETWORK}.64/26"]

    def rows():
        return list(csv.DictReader(io.StringIO(audit(*network, "--top", 5, "--format", "csv"))))

    logs.awaited(lambda: len(rows()) == 2 and rows()[1]["requests"] == "3", "enroll")
    first, second = rows()
    assert (first["source"], first["requests"]) == (SOURCE, "23") and second["source"] == OTHER
    assert set(first["actions"].split()) == {"enroll:challenge", "enroll:token"}
    assert {"wrong_code", "tries", "open_code", "no_code", "unknown_subject"} <= set(first["reasons"].split())
    assert first["first"] <= first["last"] and int(first["subjects"]) == 7
    assert len(audit(*network, "--top", 1).split(SOURCE)) == 2 and OTHER not in audit(*network, "--top", 1)
    # Whoever else was refused in this hour, was refused less often by one address.
    shown = audit("--since", "1h", "--function", "enroll", "--action", "enroll:*", "--top", 50)
    assert SOURCE in shown and OTHER in shown


def test_a_table_has_a_row_for_each(spam, audit):
    shown = audit("--since", "1h", "--source", SOURCE)
    assert shown.count(SOURCE) == 27 and all(subject in shown for subject in [*spam.victims, *spam.nobody])


@pytest.mark.parametrize("separator, character", [(None, ","), (";", ";"), ("tab", "\t")])
def test_csv_is_read_by_others(spam, audit, separator, character):
    options = ["--separator", separator] if separator else []
    text = audit("--since", "1h", "--source", SOURCE, "--format", "csv", *options)
    rows = list(csv.DictReader(io.StringIO(text), delimiter=character, strict=True))
    assert len(rows) == 27 and {row["source_ip"] for row in rows} == {SOURCE}
    assert sum(row["reason"] == "wrong_code" for row in rows) == 7
    assert {"timestamp", "action", "subject", "outcome", "reason"} <= set(rows[0])


def test_a_file_of_the_same_lines_tells_the_same(spam, audit, tmp_path):
    path = tmp_path / "log"
    messages = logs.messages("enroll", (time.time() - 3600) * 1000)
    path.write_text("\n".join([*messages, "START RequestId: 1", "{broken"]) + "\n")
    options = ["--source", SOURCE, "--format", "csv"]
    of_file = audit("--file", path, *options)
    assert of_file == audit("--since", "1h", "--function", "enroll", *options)
    command = [os.environ["COUNTERSIGN_BIN"], "audit", "--file", "-", *options]
    piped = subprocess.run(command, input=path.read_bytes(), capture_output=True, timeout=60)
    assert piped.stdout.decode() == of_file


def test_what_callers_choose_reaches_neither_terminal_nor_spreadsheet(audit, tmp_path):
    """Lines of a file that somebody else wrote."""
    line = {"timestamp": "2026-01-01T00:00:00Z", "level": "INFO", "target": "audit", "action": "enroll:token", "outcome": "refused",
            "request_id": "r", "source_ip": "192.0.2.1", "subject": "=cmd|' /C calc'!A0", "reason": "\u001b[31mred\u0007"}
    path = tmp_path / "log"
    path.write_text(json.dumps(line) + "\n")
    [row] = csv.DictReader(io.StringIO(audit("--file", path, "--format", "csv")))
    assert row["subject"].startswith("'=") and "\u001b" not in row["reason"]
    assert "\u001b" not in audit("--file", path) and "\u0007" not in audit("--file", path)


def test_a_missing_permission_is_named(enrolment, audit):
    iam = boto3.client("iam")
    iam.create_user(UserName="auditor")
    key = iam.create_access_key(UserName="auditor")["AccessKey"]
    identity = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert "logs:FilterLogEvents" in audit("--since", "1h", expected=5, **identity)
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "logs:FilterLogEvents", "Resource": f"arn:aws:logs:*:*:log-group:/aws/lambda/{STACK}-*"}]}
    iam.put_user_policy(UserName="auditor", PolicyName="audit", PolicyDocument=json.dumps(policy))
    audit("--since", "1h", "--function", "enroll", **identity)


def test_the_script_runs_by_itself(enrolment, audit):
    source, subjects = f"{NETWORK}.200", [f"nobody-{secrets.token_hex(4)}" for _ in range(2)]
    subject = enrolment.subject()
    request, code = enrolment.request(subject), enrolment.code(subject)
    token = enrolment.token(subject, code).content["token"]
    request.keep(enrolment.ca.sign(request.pem, token))
    captured = json.dumps([{"subject": subject, "code": code, "token": token, "csr": request.pem}]).encode()
    command = [sys.executable, spammer.__file__, enrolment.stack.url, enrolment.ca.url, enrolment.ca.root, source, *subjects]
    done = json.loads(subprocess.run(command, input=captured, capture_output=True, check=True, timeout=120).stdout)
    assert done == {"asked": {"202": 2, "429": 4}, "guessed": {"401": 14}, "replayed": {"401": 6}, "replayed at the CA": {"401": 3}}
    until(lambda: len(read(audit("--since", "1h", "--source", source, "--format", "json"))) == 26)
