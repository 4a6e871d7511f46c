"""`countersign cert renew` over mutual TLS: once, and as a daemon whose certificates end while the test looks on."""

import contextlib
import json
import signal
import stat
import subprocess
import sys
import time

import pytest

from certs import Certs, shown
from executions import handles
from waiting import until

LIFE = "9s"


@pytest.fixture
def certs(enrolment, tmp_path):
    return Certs(enrolment, tmp_path)


@pytest.fixture
def folder(certs):
    return certs.enroll()


@pytest.fixture
def short(certs):
    """Of a certificate that ends soon."""
    return certs.enroll(None, "--not-after", LIFE)


@contextlib.contextmanager
def daemon(certs, folder, *arguments):
    process = certs.start("renew", folder.path, "--daemon", *arguments, COUNTERSIGN_LOG="info")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def renewed(folder, serial, within=20):
    return until(lambda: folder.serial() if folder.serial() != serial else None, within, "not renewed")


def test_a_certificate_is_renewed_and_its_key_stays(certs, enrolment, folder):
    serial, key, names = folder.serial(), folder.key.read_bytes(), folder.sans()
    inode = folder.certificate.stat().st_ino
    status, _, said = certs.run("renew", folder.path, "--force")
    assert status == 0, said
    folder.check(enrolment.ca)
    assert folder.serial() != serial and folder.key.read_bytes() == key and folder.sans() == names
    assert folder.certificate.stat().st_ino != inode, "replaced, not written into"
    assert sorted(path.name for path in folder.path.iterdir()) == ["ca.json", "certificate.pem", "chain.pem", "key.pem", "root.pem"]


def test_what_is_young_is_left_alone(certs, folder):
    serial = folder.serial()
    status, _, said = certs.run("renew", folder.path)
    assert status == 0 and folder.serial() == serial, said


def test_a_process_is_signalled_after_it(certs, folder, tmp_path):
    told = tmp_path / "told"
    script = "import signal, sys, pathlib; signal.signal(signal.SIGHUP, lambda *_: (pathlib.Path(sys.argv[1]).touch(), sys.exit()));" \
             "print('ready', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", script, told], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            status, _, said = certs.run("renew", folder.path, "--force", "--on-renew", f"signal:HUP:{process.pid}")
            assert status == 0, said
            process.wait(10)
        finally:
            process.kill()
    assert told.exists()


def test_files_of_any_names_are_renewed(certs, enrolment, folder, tmp_path):
    chain, key = tmp_path / "tls.pem", tmp_path / "tls.key"
    chain.write_bytes(folder.chain.read_bytes())
    key.write_bytes(folder.key.read_bytes())
    key.chmod(0o600)
    status, _, said = certs.run("renew", "--chain-file", chain, "--key-file", key, "--root", folder.root, "--ca-url",
                                enrolment.ca.url, "--force")
    assert status == 0 and chain.read_bytes() != folder.chain.read_bytes(), said
    enrolment.ca.verify(chain, chain)
    assert shown(chain, "-pubkey") == shown(folder.chain, "-pubkey")


def test_a_revoked_certificate_is_not_renewed(certs, enrolment, folder):
    assert certs.run("revoke", folder.path, "--reason-code", "keyCompromise", "--reason", "lost", "--yes")[0] == 0
    before = folder.certificate.read_bytes(), folder.chain.read_bytes()
    status, _, said = certs.run("renew", folder.path, "--force")
    assert status == 4 and "hint: " in said
    assert (folder.certificate.read_bytes(), folder.chain.read_bytes()) == before
    assert enrolment.ca.renew(folder.chain, folder.key).status == 401


def test_a_ca_that_is_not_there_has_its_code(certs, enrolment, folder):
    enrolment.ca.stop()
    try:
        assert certs.run("renew", folder.path, "--force")[0] == 7
    finally:
        enrolment.ca.start()


@pytest.fixture
def hook(tmp_path):
    """A program that notes that it ran, and what it is to be run with."""
    path, told = tmp_path / "hook", tmp_path / "told"
    path.write_text(f"#!/bin/sh\necho renewed >>{told}\n")
    path.chmod(0o755)
    return f"run:{path}", lambda: told.read_text().count("renewed") if told.exists() else 0


def test_a_hook_runs_after_it(certs, folder, hook):
    run, ran = hook
    status, _, said = certs.run("renew", folder.path, "--force", "--on-renew", run)
    assert status == 0 and ran() == 1, said
    assert certs.run("renew", folder.path, "--on-renew", run)[0] == 0 and ran() == 1, "nothing was renewed"


def test_a_daemon_renews_again_and_again_before_the_end(certs, enrolment, short, hook):
    run, ran = hook
    serials = [short.serial()]
    with daemon(certs, short, "--on-renew", run) as process:
        for _ in range(2):
            serials.append(renewed(short, serials[-1]))
            assert short.ends() > 0
        short.check(enrolment.ca)
        assert stat.S_IMODE(short.key.stat().st_mode) == 0o600
        until(lambda: ran() == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert len(set(serials)) == 3


def test_a_daemon_renews_at_two_thirds_of_the_life(certs, short):
    began, serial = time.time(), short.serial()
    with daemon(certs, short):
        renewed(short, serial)
        # With jitter, and what the command takes to begin.
        assert 3.5 < time.time() - began < 8.5


def test_a_daemon_is_asked_to_renew_at_once(certs, folder):
    serial = folder.serial()
    with daemon(certs, folder) as process:
        until(lambda: handles(process.pid, signal.SIGHUP))
        time.sleep(1)
        assert folder.serial() == serial
        process.send_signal(signal.SIGHUP)
        renewed(folder, serial)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_a_daemon_outlives_a_ca_that_is_away(certs, enrolment):
    # Due after 20 seconds, or a little before.
    folder = certs.enroll(None, "--not-after", "30s")
    serial = folder.serial()
    with daemon(certs, folder) as process:
        enrolment.ca.stop()
        try:
            time.sleep(folder.ends() - 8)
            assert process.poll() is None and folder.serial() == serial
        finally:
            enrolment.ca.start()
        renewed(folder, serial)
        assert process.poll() is None


def test_a_hook_that_fails_ends_no_daemon(certs, folder):
    serial = folder.serial()
    with daemon(certs, folder, "--force", "--on-renew", "run:false") as process:
        serial = renewed(folder, serial)
        process.send_signal(signal.SIGHUP)
        renewed(folder, serial)
        assert process.poll() is None


def test_a_daemon_ends_with_its_certificate(certs, enrolment):
    """It cannot be renewed over mutual TLS any more."""
    folder = certs.enroll(None, "--not-after", "3s")
    enrolment.ca.stop()
    try:
        with daemon(certs, folder) as process:
            assert process.wait(20) == 3 and folder.ends() < 0
            assert "hint: " in process.stderr.read().decode()
    finally:
        enrolment.ca.start()
    status, _, said = certs.run("renew", folder.path, "--force")
    assert status in (3, 4) and "hint: " in said, said


def test_no_secret_is_printed(certs, folder):
    status, printed, said = certs.run("renew", folder.path, "--force", COUNTERSIGN_LOG="debug")
    key = "".join(folder.key.read_text().split("-----")[2].split())
    assert status == 0 and key[:40] not in printed + said
    assert json.loads((folder.path / "ca.json").read_text())["url"]
