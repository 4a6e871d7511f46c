"""`countersign exec`, and a broker that is slow, gone, broken, or somebody else, at the start and afterwards."""

import signal
import time

import pytest

import unreliable
from executions import Child, Execution, is_running
from secret import Secret
from unreliable import Unreliable
from waiting import until


@pytest.fixture
def broker(stack):
    with Unreliable(stack) as made:
        yield made


@pytest.fixture
def child(memory):
    return Child(memory, memory / "runtime/db")


def file_of(made, **more):
    return {"db": {"secret": made.name, "env": "VALUE", "file": {"path": "db"}} | more}


def test_the_program_goes_on_with_the_last_good_value_whatever_happens(cli, memory, broker, child):
    made = Secret()
    config = dict(items=file_of(made), url=broker.url, on_change={"signal": "HUP"}, timeout="2s")
    with Execution(cli, memory, child=child, **config) as run:
        first = child.wait_for("started")
        faults = 0
        for times, manner in enumerate((unreliable.answers(503, {}, "{}"), unreliable.cuts, unreliable.alters,
                                        unreliable.throttles(1), unreliable.answers(200, {}, "<html>"), None), 1):
            with broker.with_manner(manner) if manner else broker.gone():
                until(lambda: len(run.messages("not refreshed")) > faults)
                assert run.path("db").read_text() == made.value
                assert is_running(first["pid"])
                value = made.put()
            assert child.wait_for("SIGHUP", times)["file"] == value
            faults = len(run.messages("not refreshed"))
        assert child.names == ["started", *["SIGHUP"] * 6]
        assert run.stop() == 42


def test_the_program_is_ended_at_the_use_by_where_that_is_wanted(cli, memory, broker, child):
    config = dict(items=file_of(Secret(), keep="3s"), url=broker.url, child_settings={"at_use_by": "stop"})
    with Execution(cli, memory, child=child, **config) as run:
        child.wait_for("started")
        with broker.gone():
            assert run.end() == 7
        assert child.names == ["started", "SIGTERM"]
        assert not run.path("db").exists()
        assert run.messages("use-by")


def test_the_program_is_kept_at_the_use_by_and_its_file_is_not(cli, memory, broker, child):
    made = Secret()
    config = dict(items=file_of(made, keep="3s"), url=broker.url, on_change={"signal": "HUP"})
    with Execution(cli, memory, child=child, **config) as run:
        first = child.wait_for("started")
        with broker.gone():
            until(lambda: not run.path("db").exists())
            assert is_running(first["pid"]) and run.process.poll() is None
        run.holds("db", made.value)
        assert is_running(first["pid"])
        assert run.stop() == 42


def test_a_start_that_is_throttled_waits_as_it_is_told(cli, memory, broker):
    made = Secret()
    items = {"db": {"secret": made.name, "env": "VALUE"}}
    with broker.with_manner(unreliable.throttles(2, times=2)):
        with Execution(cli, memory, "printenv", "VALUE", items=items, url=broker.url) as run:
            assert run.output() == (0, f"{made.value}\n".encode())
    first, second, third = broker.asked
    assert second - first >= 2 and third - second >= 2


def test_a_start_gives_up_in_its_time(cli, memory, broker, child):
    cli.pull()
    for manner in (unreliable.answers(503, {}, "{}"), unreliable.throttles(60), unreliable.delays(6), None):
        with broker.with_manner(manner) if manner else broker.gone():
            began = time.monotonic()
            with Execution(cli, memory, child=child, items=file_of(Secret()), url=broker.url, timeout="3s") as run:
                assert run.end() == 7
            assert time.monotonic() - began < 6
            assert "hint: " in run.log_path.read_text()
            assert child.events == [] and not run.path("db").exists()


def test_a_start_from_somebody_else_fails_at_once(cli, memory, broker, child):
    for manner in (unreliable.alters, unreliable.answers(200, {}, "<html>")):
        with broker.with_manner(manner):
            with Execution(cli, memory, child=child, items=file_of(Secret()), url=broker.url) as run:
                assert run.end() == 8
            assert child.events == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_can_be_stopped_while_it_waits(cli, memory, broker, child, number):
    with broker.with_manner(unreliable.throttles(60)):
        with Execution(cli, memory, child=child, items=file_of(Secret()), url=broker.url) as run:
            until(lambda: broker.asked)
            began = time.monotonic()
            assert run.stop(number) == 128 + number
            assert time.monotonic() - began < 2
            assert child.events == [] and not run.path("db").exists()
