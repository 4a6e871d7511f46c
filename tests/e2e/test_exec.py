"""`countersign exec` against the deployed stack: what the program is given, what happens to it on a change, and its end."""

import os
import pathlib
import shutil
import signal

import pytest

import secret
from executions import Child, Execution, is_running, program_of
from secret import Secret
from staying import toml
from waiting import until

VALUE = "correct horse battery staple"
VARIABLE = {"db": {"secret": "app/db", "env": "VALUE"}}
# What it has to stay for.
FILE = {"db": {"secret": "app/db", "file": {"path": "db"}}}


def test_it_replaces_itself_where_nothing_is_to_be_kept_fresh(cli, memory):
    sleep = os.path.realpath(shutil.which("sleep"))
    with Execution(cli, memory, "sleep", "60", items=VARIABLE) as run:
        until(lambda: program_of(run.process.pid) == sleep)
        children = pathlib.Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text()
        assert children == ""
        assert f"VALUE={VALUE}\0" in pathlib.Path(f"/proc/{run.process.pid}/environ").read_text()
        assert run.stop() == -signal.SIGTERM


def test_once_it_replaces_itself_and_the_files_stay(cli, memory):
    with Execution(cli, memory, "cat", str(memory / "runtime/db"), options=["--once"], items=FILE) as run:
        assert run.output() == (0, VALUE.encode())
        assert run.path("db").read_text() == VALUE


def test_the_environment_holds_what_was_asked_for_and_nothing_of_countersign(cli, memory):
    made = Secret(members=["user", "password"])
    items = VARIABLE | {
        "user": {"secret": made.name, "member": "user", "env": "DB_USER"},
        "aws": {"role": "deploy", "env": "AWS"},
        "token": {"access_token": True, "env": "TOKEN"},
    }
    changes = {"MINE": "yes", "COUNTERSIGN_TIMEOUT": "60", "COUNTERSIGN_OTHER": "no"}
    for inherited in (None, ["PATH", "NOT_THERE"]):
        child = {} if inherited is None else {"inherit": inherited}
        with Execution(cli, memory, "env", "-0", items=items, child_settings=child, changes=changes) as run:
            code, output = run.output()
        assert code == 0
        got = dict(line.split("=", 1) for line in output.decode().split("\0") if line)
        secret.VALUES.update({got["AWS_SECRET_ACCESS_KEY"], got["AWS_SESSION_TOKEN"], got["TOKEN"]})
        assert (got["VALUE"], got["DB_USER"]) == (VALUE, made["user"])
        assert not [name for name in got if name.startswith("COUNTERSIGN")]
        ours = {"VALUE", "DB_USER", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "TOKEN"}
        if inherited is None:
            before = {name for name in run.environment if not name.startswith("COUNTERSIGN")}
            assert set(got) == ours | before and got["MINE"] == "yes"
        else:
            assert set(got) == ours | {"PATH"}


def test_standard_input_is_the_secrets_bytes(cli, memory):
    items = {"keystore": {"secret": "app/keystore", "stdin": True}}
    for more in ({}, FILE):
        with Execution(cli, memory, "cat", items=items | more) as run:
            assert run.output() == (0, bytes(range(256)))


def test_the_endpoint_is_known_to_the_program(cli, memory):
    """Its SDKs find it, whatever else the environment says of containers."""
    script = 'echo "$AWS_CONTAINER_CREDENTIALS_FULL_URI"; cat "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"'
    config = dict(items={"aws": {"role": "deploy"}}, endpoint={"listen": "127.0.0.1:0"})
    with Execution(cli, memory, "sh", "-c", script, **config) as run:
        code, output = run.output()
    url, token = output.decode().split("\n", 1)
    assert code == 0 and url.startswith("http://127.0.0.1:") and url.endswith("/credentials/deploy")
    assert len(token) >= 43
    assert not run.path("token").exists(), "it ends with the program"


def test_nothing_is_on_a_disk_unless_it_is_asked_for_and_then_it_is_warned_of(cli, memory, tmp_path):
    with Execution(cli, memory, "true", items=FILE) as run:
        assert run.end() == 0 and not run.messages("not in memory")
        assert not run.path("db").exists(), "it is there for the program"
    on_disk = {"db": {"secret": "app/db", "file": {"path": str(tmp_path / "on-disk/db")}}}
    with Execution(cli, memory, "cat", str(tmp_path / "on-disk/db"), items=on_disk) as run:
        assert run.output() == (0, VALUE.encode())
        assert [line["level"] for line in run.messages("not in memory")] == ["WARN"]


@pytest.mark.parametrize("code, name", [(5, "ops/root"), (6, "app/nothing")])
def test_everything_is_granted_or_the_program_does_not_start(cli, memory, code, name):
    child = Child(memory)
    items = FILE | {"other": {"secret": name, "file": {"path": "other"}}}
    with Execution(cli, memory, child=child, items=items) as run:
        assert run.end() == code
        assert child.events == [] and not run.path("db").exists()
        assert name in run.log_path.read_text() and "hint: " in run.log_path.read_text()


@pytest.mark.parametrize("items", [VARIABLE, FILE], ids=["replaced", "supervised"])
def test_the_programs_exit_code_is_passed_on(cli, memory, items):
    plain = memory / "plain"
    plain.write_text("no program")
    cli.pull()
    for words, code in (
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        ([str(plain)], 126),
        (["no-such-program"], 127),
    ):
        with Execution(cli, memory, *words, items=items) as run:
            ended = run.end()
            # Of what took its place the operating system tells the signal itself.
            assert (128 - ended if ended < 0 else ended) == code, words


def test_signals_are_passed_on(cli, memory):
    child = Child(memory)
    with Execution(cli, memory, child=child, items=FILE) as run:
        began = child.wait_for("started")
        assert began["parent"] == run.process.pid
        names = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"]
        for name in names:
            run.process.send_signal(signal.Signals[name])
            child.wait_for(name)
        assert run.stop() == 42, "the program's own code"
        assert child.names == ["started", *names, "SIGTERM"], "each of them once"
        assert not run.path("db").exists()


def test_a_change_is_in_the_file_before_the_program_is_sent_a_signal(cli, memory):
    made = Secret()
    child = Child(memory, memory / "runtime/db")
    items = {"db": {"secret": made.name, "file": {"path": "db"}}}
    with Execution(cli, memory, child=child, items=items, on_change={"signal": "USR1"}) as run:
        assert child.wait_for("started")["file"] == made.value
        for times in (1, 2):
            value = made.put()
            event = child.wait_for("SIGUSR1", times)
            assert (event["file"], event["pid"]) == (value, child.events[0]["pid"])
        assert run.stop() == 42
        assert child.names == ["started", "SIGUSR1", "SIGUSR1", "SIGTERM"]


def test_a_change_starts_the_program_again_with_the_new_environment(cli, memory):
    made = Secret()
    child = Child(memory, memory / "runtime/db")
    items = {"db": {"secret": made.name, "env": "VALUE", "file": {"path": "db"}}}
    with Execution(cli, memory, child=child, items=items, on_change={"restart": True}) as run:
        first = child.wait_for("started")
        value = made.put()
        second = child.wait_for("started", 2)
        assert (second["value"], second["file"]) == (value, value)
        assert second["pid"] != first["pid"] and not is_running(first["pid"])
        assert second["parent"] == first["parent"] == run.process.pid
        assert child.names == ["started", "SIGTERM", "started"]


def test_an_item_can_change_in_its_file_alone(cli, memory):
    quiet, loud = Secret(), Secret()
    child = Child(memory, memory / "runtime/db")
    items = {
        "db": {"secret": quiet.name, "file": {"path": "db"}, "on_change": False},
        "other": {"secret": loud.name, "file": {"path": "other"}},
    }
    with Execution(cli, memory, child=child, items=items, on_change={"signal": "HUP"}) as run:
        child.wait_for("started")
        run.holds("db", quiet.put())
        loud.put()
        assert child.wait_for("SIGHUP")["file"] == quiet.value
        assert run.stop() == 42
        assert child.names == ["started", "SIGHUP", "SIGTERM"]


def test_a_variable_can_hold_the_configuration(cli, memory):
    changes = {"COUNTERSIGN_TOML": toml({"from": f"s3://{cli.stack.bucket}", "items": VARIABLE}), "COUNTERSIGN_CONFIG": None}
    with Execution(cli, memory, "printenv", "VALUE", changes=changes) as run:
        assert run.output() == (0, f"{VALUE}\n".encode())


def test_a_program_that_does_not_end_in_its_grace_is_killed(cli, memory):
    made = Secret()
    child = Child(memory, deaf="deaf")
    settings = {"grace": "500ms", "stop_signal": "INT"}
    items = {"db": {"secret": made.name, "env": "VALUE"}}
    with Execution(cli, memory, child=child, items=items, on_change={"restart": True}, child_settings=settings) as run:
        first = child.wait_for("started")
        value = made.put()
        assert child.wait_for("started", 2)["value"] == value
        assert child.names == ["started", "SIGINT", "started"] and not is_running(first["pid"])
        # Asked to end, it passes that on, and the program's deafness is not its own to end.
        run.process.send_signal(signal.SIGTERM)
        child.wait_for("SIGTERM")
        os.kill(child.events[-1]["pid"], signal.SIGKILL)
        assert run.end() == 128 + signal.SIGKILL


def test_a_change_runs_a_command_with_the_programs_environment(cli, memory):
    made, ran = Secret(), memory / "ran"
    child = Child(memory)
    items = {"db": {"secret": made.name, "file": {"path": "db"}}, "user": {"secret": "app/db", "env": "VALUE"}}
    hook = ["sh", "-c", f'echo "$VALUE $(cat "{memory}/runtime/db")" >>{ran}; exit 1']
    with Execution(cli, memory, child=child, items=items, on_change={"run": hook}) as run:
        child.wait_for("started")
        for times in (1, 2):
            value = made.put()
            until(lambda: ran.exists() and len(ran.read_text().splitlines()) == times)
            assert ran.read_text().splitlines()[-1] == f"{VALUE} {value}"
        assert run.process.poll() is None and child.names == ["started"], "that it fails is no end"
