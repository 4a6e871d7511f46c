"""`scripts/smoke`, which tries a deployed stack with nothing but AWS credentials."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "scripts/smoke"


def smoke(**variables):
    return subprocess.run([SCRIPT], env=os.environ | variables, capture_output=True, text=True, timeout=300)


def test_a_stack_that_works_passes(stack):
    done = smoke()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "material of group web" in done.stdout and done.stdout.endswith(f"PASSED: stack {os.environ['STACK_NAME']} works\n")


def test_another_group_can_be_named(stack):
    done = smoke(CLIENT_GROUP="batch")
    assert done.returncode == 0 and "material of group batch" in done.stdout, done.stdout + done.stderr


def test_a_secret_can_be_named_and_its_value_is_not_shown(stack):
    done = smoke(SMOKE_SECRET="app/db")
    assert done.returncode == 0 and "ok: received app/db" in done.stdout, done.stdout + done.stderr
    assert "correct horse" not in done.stdout + done.stderr


def test_what_the_callers_own_client_is_set_to_does_not_count(stack):
    done = smoke(COUNTERSIGN_URL="http://127.0.0.1:1", COUNTERSIGN_FROM="/nowhere", COUNTERSIGN_GROUP="nobody")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("variables, reason", [
    ({"STACK_NAME": "nothing"}, "stack nothing cannot be read"),
    ({"CLIENT_GROUP": "nobody"}, "group nobody has no material"),
    ({"SMOKE_SECRET": "app/admin/codes"}, "ended with exit code 5"),
    ({"SMOKE_SECRET": "app/nothing"}, "ended with exit code 6"),
])
def test_a_stack_that_does_not_work_fails(stack, variables, reason):
    done = smoke(**variables)
    assert done.returncode == 1 and reason in done.stderr, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("FAILED: stack ")
