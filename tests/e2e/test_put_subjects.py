"""scripts/put-subjects, against the local AWS."""

import json
import os
import pathlib
import secrets
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "scripts/put-subjects"


@pytest.fixture
def put(enrolment, tmp_path):
    """Hands files of these names and contents to the script: its exit code. What it put is taken away."""
    files = set()

    def run(**contents):
        paths = []
        for name, content in contents.items():
            paths.append(tmp_path / f"{name}.json")
            paths[-1].write_text(content if isinstance(content, str) else json.dumps(content))
        files.update(contents)
        built = pathlib.Path(os.environ["COUNTERSIGN_BIN"]).parent
        environment = os.environ | {"PATH": f"{built}:{os.environ['PATH']}"}
        return subprocess.run([SCRIPT, *paths], env=environment, capture_output=True, timeout=120).returncode

    yield run
    for name in files:
        enrolment.stack.s3.delete_object(Bucket=enrolment.stack.bucket, Key=f"subjects/{name}.json")
    enrolment.stack.restart("enroll")


def kept(enrolment):
    listed = enrolment.stack.s3.list_objects_v2(Bucket=enrolment.stack.bucket, Prefix="subjects/")
    return {(found["Key"], found["ETag"]) for found in listed["Contents"]}


def test_subjects_that_were_put_are_sent_codes(enrolment, put):
    one, other = (f"put-{secrets.token_hex(3)}" for _ in range(2))
    addresses = {name: {"webhook": f"telegram:{name}"} for name in (one, other)}
    assert put(one={one: addresses[one]}, other={other: addresses[other]}) == 0
    enrolment.addresses |= addresses
    enrolment.stack.restart("enroll")
    for subject in (one, other):
        assert enrolment.token(subject, enrolment.code(subject)).status == 200


@pytest.mark.parametrize("content", [
    "{",
    {"alice": {"sms": "391234567890"}},
    '{"alice": {"mail": "a@example.com"}, "alice": {"mail": "b@example.com"}}',
    {"beside": {"mail": "b@example.com"}},
])
def test_what_is_not_valid_is_not_put_and_nothing_beside_it(enrolment, put, content):
    before = kept(enrolment)
    assert put(beside={"beside": {"mail": "beside@example.com"}}, wrong=content) != 0
    assert kept(enrolment) == before


def test_a_subject_that_another_file_has_is_refused(enrolment, put):
    before = kept(enrolment)
    assert put(again={enrolment.subject(): {"mail": "other@example.com"}}) != 0
    assert kept(enrolment) == before
