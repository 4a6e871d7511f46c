"""`countersign agent` against the deployed stack: files, changes, and its end."""

import json
import os
import signal
import stat
import subprocess

import pytest

import logs
from agents import Agent, free_port
from secret import Secret, leaked
from staying import Staying
from waiting import until

SLOW = {"interval": "1h", "min_interval": "100ms"}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def file_of(name, **more):
    return {"secret": name, "file": {"path": "db"} | more}


def test_what_is_asked_for_is_in_its_files(cli, memory):
    made = Secret(members=["user", "password"])
    template = memory / "conf.j2"
    template.write_text("user={{ (value | fromjson).user }} key={{ items.aws.access_key_id }}\n")
    items = {
        "db": {"secret": "app/db", "file": {"path": "db"}},
        "keystore": {"secret": "app/keystore", "file": {"path": "deep/keystore", "mode": "0440"}},
        "password": {"secret": made.name, "member": "password", "file": {"path": "password"}},
        "conf": {"secret": made.name, "file": {"path": "conf", "template": str(template)}},
        "aws": {"role": "deploy", "file": {"path": "aws.json"}},
        "token": {"access_token": True, "file": {"path": "access-token"}},
    }
    with Agent(cli, memory, items=items) as agent:
        assert agent.path("db").read_bytes() == b"correct horse battery staple"
        assert agent.path("deep/keystore").read_bytes() == bytes(range(256))
        assert agent.path("password").read_text() == made["password"]
        status, credentials = agent.credentials()
        assert status == 200
        assert agent.path("conf").read_text() == f"user={made['user']} key={credentials['AccessKeyId']}\n"
        assert json.loads(agent.path("aws.json").read_text())["AccessKeyId"] == credentials["AccessKeyId"]
        assert agent.path("access-token").read_text().count(".") == 2
        assert [mode(agent.path(name)) for name in ("db", "deep/keystore", "token")] == [0o400, 0o440, 0o400]
        assert not agent.messages("not in memory")


def test_files_that_others_may_read_stand_in_folders_that_they_can_pass(cli, memory):
    for number, (file_mode, folder_mode) in enumerate((("0400", 0o700), ("0440", 0o711))):
        item = {"secret": "app/db", "file": {"path": "deep/db", "mode": file_mode}}
        place = memory / str(number)
        place.mkdir()
        with Agent(cli, place, items={"db": item}) as agent:
            assert [mode(agent.path(name)) for name in (".", "deep")] == [folder_mode] * 2


def test_a_new_version_reaches_the_file_and_the_hook_runs_once(cli, memory):
    made, runs = Secret(), memory / "runs"
    runs.touch()
    # The hook sees the new file.
    hook = ["sh", "-c", f'cat "{memory}/runtime/db" >>{runs}; echo >>{runs}']
    with Agent(cli, memory, items={"db": file_of(made.name)}, on_change={"run": hook}) as agent:
        values = [made.value]
        for _ in range(2):
            until(lambda: runs.read_text().splitlines() == values, what=runs.read_text)
            values.append(made.put())
            agent.holds("db", values[-1])
        agent.rounds()
        assert runs.read_text().splitlines() == values


def test_a_secret_that_did_not_change_triggers_nothing(cli, memory):
    made, runs = Secret(), memory / "runs"
    runs.touch()
    with Agent(cli, memory, items={"db": file_of(made.name)}, on_change={"run": ["sh", "-c", f"echo >>{runs}"]}) as agent:
        agent.rounds(1)
        file, ran = agent.path("db").stat(), runs.read_text()
        agent.rounds(4)
        assert agent.path("db").stat() == file, "nobody wrote it"
        assert runs.read_text() == ran
        assert len(agent.messages("changed")) <= 1


def test_one_denied_item_does_not_keep_the_others(cli, memory):
    made = Secret()
    items = {
        "db": file_of(made.name),
        "root": {"secret": "ops/root", "file": {"path": "root"}},
        "gone": {"secret": "app/nothing", "file": {"path": "gone"}},
    }
    with Agent(cli, memory, items=items, wait_for="/health") as agent:
        agent.holds("db", made.value)
        value = made.put()
        agent.holds("db", value)
        assert not agent.path("root").exists() and not agent.path("gone").exists()
        answer = agent.ask("/ready")
        assert (answer.status, json.loads(answer.body)) == (503, {"ready": False, "missing": ["gone", "root"]})
        assert agent.metric("countersign_item_usable", item="db") == 1
        assert agent.metric("countersign_item_usable", item="root") == 0
        until(lambda: agent.metric("countersign_item_failures", item="root") >= 2)
        assert agent.metric("countersign_item_failures", item="db") == 0
        told = [line for line in agent.messages("not refreshed") if line["items"] == "root"]
        assert "policy does not allow" in told[0]["error"] and "request id" in told[0]["error"]


def test_hup_asks_again_now(cli, memory):
    made = Secret()
    with Agent(cli, memory, items={"db": file_of(made.name)}, refresh=SLOW) as agent:
        value = made.put()
        agent.process.send_signal(signal.SIGHUP)
        agent.holds("db", value, 5)
        assert agent.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_files_and_its_token_end_with_it(cli, memory, number):
    with Agent(cli, memory, items={"db": file_of("app/db")}) as agent:
        assert agent.token_path.exists() and agent.path("db").exists()
        assert agent.stop(number) == 0
        assert not [path for path in agent.runtime.rglob("*") if path.is_file()]


def test_every_start_has_a_token_of_its_own(cli, memory):
    with Agent(cli, memory, items={"db": file_of("app/db")}) as agent:
        before = agent.token
        agent.process.kill()
        agent.process.wait()
        agent.start()
        assert agent.token != before
        assert agent.ask("/v1/app/db", X_Aws_Parameters_Secrets_Token=before).status == 403


def test_once_writes_everything_and_ends(cli, memory):
    items = {"db": file_of("app/db"), "aws": {"role": "deploy", "file": {"path": "aws.json"}}}
    with Staying(cli, memory, "agent", "--once", items=items) as agent:
        assert agent.end() == 0
        assert agent.path("db").read_text() == "correct horse battery staple"
        assert json.loads(agent.path("aws.json").read_text())["Version"] == 1


def test_once_writes_nothing_where_one_thing_is_denied(cli, memory):
    items = {"db": file_of("app/db"), "root": {"secret": "ops/root", "file": {"path": "root"}}}
    with Staying(cli, memory, "agent", "--once", items=items) as agent:
        assert agent.end() == 5
        assert not agent.path("db").exists() and not agent.path("root").exists()
        assert "hint: " in agent.log_path.read_text()


def test_a_probe_tells_by_its_exit_code(cli, memory):
    def probe(*what):
        done = subprocess.run(
            [os.environ["COUNTERSIGN_BIN"], "probe", *what], env=agent.environment, capture_output=True, timeout=30)
        assert done.returncode == 0 or b"hint: " in done.stderr
        return done.returncode

    items = {"db": file_of("app/db"), "root": {"secret": "ops/root", "file": {"path": "root"}}}
    with Agent(cli, memory, items=items, wait_for="/health") as agent:
        assert (probe(), probe("ready"), probe("live")) == (7, 7, 0)
        agent.stop()
        assert (probe(), probe("live")) == (7, 7)
    with Agent(cli, memory, items={"db": file_of("app/db")}) as agent:
        assert (probe(), probe("live")) == (0, 0)


def test_a_probe_can_wait_for_the_agent(cli, memory):
    agent = Agent(cli, memory, items={"db": file_of("app/db")})
    probe = [os.environ["COUNTERSIGN_BIN"], "probe", "started", "--wait", "20s"]
    with subprocess.Popen(probe, env=agent.environment) as waiting, agent:
        assert waiting.wait(20) == 0


def test_a_disk_is_warned_of(cli, memory, tmp_path):
    with Agent(cli, memory, items={"db": {"secret": "app/db", "file": {"path": str(tmp_path / "db")}}}) as agent:
        assert (tmp_path / "db").read_text() == "correct horse battery staple"
        assert [line["level"] for line in agent.messages("not in memory")] == ["WARN"]


def test_flags_and_variables_say_the_same_as_a_file(cli, memory):
    port = free_port()
    flags = ["--file", "db=secret:app/db", "--file", "aws.json=role:deploy", "--listen", f"127.0.0.1:{port}"]
    variables = {"COUNTERSIGN_FILES": "db=secret:app/db;aws.json=role:deploy", "COUNTERSIGN_LISTEN": f"127.0.0.1:{port}"}
    for arguments, changes in ((flags, {}), ([], variables)):
        # What the file says of it comes after both.
        with Agent(cli, memory, *arguments, changes=changes, port=port, endpoint={"listen": "127.0.0.1:1"}) as agent:
            assert agent.path("db").read_text() == "correct horse battery staple"
            assert agent.credentials()[0] == 200


def test_no_log_holds_a_value(cli, memory, stack):
    """The agent's, with everything that it has to say, and the broker's; each Staying looks at its own besides."""
    made = Secret(members=["user", "password"])
    items = {
        "db": file_of(made.name),
        "password": {"secret": made.name, "member": "password", "file": {"path": "password"}},
        "wrong": {"secret": made.name, "member": "/nothing", "file": {"path": "wrong"}},
        "aws": {"role": "deploy"},
        "root": {"secret": "ops/root"},
    }
    config = dict(items=items, on_change={"run": ["false"]}, wait_for="/health", changes={"COUNTERSIGN_LOG": "debug"})
    with Agent(cli, memory, **config) as agent:
        agent.holds("password", made["password"])
        made.put()
        agent.holds("password", made["password"])
        assert agent.secret(made.name)[0] == 200
        assert until(lambda: agent.credentials()[0] == 200)
        assert agent.ask("/credentials/deploy", Authorization="wrong").status == 403
        agent.stop()
        assert agent.messages("not refreshed") and agent.messages("changed")
    assert leaked("".join(logs.awaited(lambda: logs.messages("exchange", word=made.name), "exchange"))) == []
