"""scripts/put-template, against the local AWS."""

import json
import os
import pathlib
import subprocess

import pytest

from provisioning import new_name, template

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "scripts/put-template"
GOOD = json.dumps(template("known", createDeviceAWSCertificate=True))


def put(folder, **files):
    """Its exit code, after files of these names and texts were handed to it."""
    paths = []
    for name, text in files.items():
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(text)
    built = pathlib.Path(os.environ["COUNTERSIGN_BIN"]).parent
    done = subprocess.run([SCRIPT, *paths], env=os.environ | {"PATH": f"{built}:{os.environ['PATH']}"}, capture_output=True,
                          text=True, timeout=120)
    return done.returncode


def names(stack):
    listed = stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix="templates/")
    return {found["Key"].removeprefix("templates/").removesuffix(".json") for found in listed["Contents"]}


def test_a_template_that_was_put_is_in_force(factory, tmp_path):
    name = new_name("put")
    assert put(tmp_path, **{name: GOOD}) == 0
    assert factory.things.provision(name).status == 201


def test_assignments_are_put_beside_templates(factory, tmp_path):
    group, name = new_name("g"), new_name("put")
    factory.iot.create_thing_group(thingGroupName=group)
    assert put(tmp_path, **{name: GOOD, "assignments": json.dumps({group: name})}) == 0
    body = {"groupPath": f"/{group}", "parameters": {"ThingName": new_name()}}
    assert factory.things.send("POST", "/things", body).status == 201


@pytest.mark.parametrize("name, text", [
    ("put-broken", "{"),
    ("put-option", json.dumps(template("known", createDeviceAWSCertificate=True, color="red"))),
    ("put name", GOOD),
    ("assignments", '["sensor"]'),
])
def test_what_is_not_valid_is_not_put_and_nothing_beside_it(stack, factory, tmp_path, name, text):
    before, beside = names(stack), new_name("put")
    assert put(tmp_path, **{beside: GOOD, name: text}) != 0
    assert names(stack) == before
