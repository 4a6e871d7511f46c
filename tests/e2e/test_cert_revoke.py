"""`countersign cert revoke`: by the certificate itself, by a code, by a bearer."""

import pytest

from certs import Certs


@pytest.fixture
def certs(enrolment, tmp_path):
    return Certs(enrolment, tmp_path)


@pytest.fixture
def folder(certs):
    return certs.enroll()


def ended(enrolment, folder):
    return enrolment.ca.renew(folder.chain, folder.key).status == 401


@pytest.mark.parametrize("reason", ["1", "keyCompromise", "4", "superseded", "0"])
def test_the_certificate_revokes_itself(certs, enrolment, folder, reason):
    status, _, said = certs.run("revoke", folder.path, "--reason-code", reason, "--reason", "lost on a train", "--yes")
    assert status == 0 and ended(enrolment, folder), said
    status, _, said = certs.run("revoke", folder.path, "--reason-code", reason, "--reason", "again", "--yes")
    assert status == 2 and "already revoked" in said


@pytest.mark.parametrize("reason", ["7", "11", "-1", "lost"])
def test_there_is_no_other_reason(certs, enrolment, folder, reason):
    """RFC 5280 section 5.3.1 has no 7."""
    assert certs.run("revoke", folder.path, "--reason-code", reason, "--reason", "a", "--yes")[0] == 2
    assert not ended(enrolment, folder)


def test_a_script_has_to_say_that_it_means_it(certs, enrolment, folder):
    status, _, said = certs.run("revoke", folder.path, "--reason-code", "1", "--reason", "a")
    assert status == 2 and "--yes" in said and not ended(enrolment, folder)


def test_at_a_terminal_the_reasons_are_a_menu(certs, enrolment, folder):
    status, screen = certs.at_a_terminal("revoke", folder.path, answers=[("uperseded", "4\n"), ("eason", "replaced\n"), ("y", "y\n")])
    assert status == 0 and ended(enrolment, folder), screen


def test_a_subject_revokes_by_a_code(certs, enrolment, folder):
    subject = folder.common_name()
    started = certs.start("revoke", folder.path, "--by-code", "webhook", "--code-file", "-", "--reason-code", "1", "--reason", "lost",
                          "--yes")
    _, said = started.communicate(certs.newest_code(subject, "webhook").encode() + b"\n", timeout=60)
    assert started.returncode == 0 and ended(enrolment, folder), said.decode()


def test_a_bearer_revokes_by_number(certs, enrolment, folder):
    arguments = ["--serial", folder.serial(), "--token-file", certs.token, "--reason-code", "5", "--reason", "retired", "--yes"]
    status, _, said = certs.run("revoke", *arguments)
    assert status == 0 and ended(enrolment, folder), said


def test_a_bearer_whom_policy_does_not_know_is_denied(certs, enrolment, folder, tmp_path):
    token = tmp_path / "visitor"
    token.write_text(enrolment.bearer("visitor"))
    arguments = ["--serial", folder.serial(), "--token-file", token, "--reason-code", "5", "--reason", "a", "--yes"]
    status, _, said = certs.run("revoke", *arguments)
    assert status == 5 and "hint: " in said and not ended(enrolment, folder)
