"""A running agent, and a broker that is slow, gone, broken, or somebody else."""

import signal
import time

import pytest

import unreliable
from agents import Agent
from secret import Secret
from short_sessions import ShortSessions, running
from unreliable import Unreliable
from waiting import until


@pytest.fixture
def broker(stack):
    with Unreliable(stack) as made:
        yield made


def file_of(made, **more):
    return {"secret": made.name, "file": {"path": "db"}} | more


def refused():
    return unreliable.answers(401, {"x-request-id": "r"}, "{}")


# The time in which an agent waits for one exchange is shorter than the delay.
MANNERS = {
    "it_is_slow": lambda: unreliable.delays(4),
    "it_cuts_its_answers": lambda: unreliable.cuts,
    "it_hangs_up": lambda: unreliable.hangs_up,
    "it_is_gone": None,
    "it_throttles": lambda: unreliable.throttles(1),
    "it_fails": lambda: unreliable.answers(500, {}, "{}"),
    "it_is_not_available": lambda: unreliable.answers(503, {}, "<html>"),
    "it_refuses": refused,
    "its_answers_are_altered": lambda: unreliable.alters,
    "its_answers_are_of_other_requests": unreliable.replays,
    "a_portal_answers": lambda: unreliable.answers(200, {"Content-Type": "text/html"}, "<html>Log in first</html>"),
    "a_denial_is_not_the_brokers": lambda: unreliable.answers(403, {}, '{"detail":"a.b.c.d.e"}'),
}


@pytest.mark.parametrize("name", MANNERS)
def test_the_last_good_value_is_served_until_the_broker_is_back(cli, memory, broker, name):
    made = Secret()
    with Agent(cli, memory, items={"db": file_of(made)}, url=broker.url, timeout="2s") as agent:
        agent.rounds(1)
        manner = MANNERS[name]
        with broker.with_manner(manner()) if manner else broker.gone():
            before, value = made.value, made.put()
            # What was on its way may have come.
            until(lambda: len(agent.messages("not refreshed")) >= 2)
            kept = agent.path("db").read_text()
            assert kept in (before, value)
            status, document = agent.secret(made.name)
            assert (status, document["SecretString"]) == (200, kept)
            assert agent.ask("/ready").status == 200
        if kept == value:
            value = made.put()
        agent.holds("db", value)
        until(lambda: agent.metric("countersign_item_failures", item="db") == 0)
        assert agent.process.poll() is None


def test_nobody_is_followed_elsewhere(cli, memory, broker, stack):
    made = Secret()
    with Unreliable(stack) as elsewhere, Agent(cli, memory, items={"db": file_of(made)}, url=broker.url) as agent:
        redirect = unreliable.answers(307, {"Location": f"{elsewhere.url}/v2/exchange"}, "")
        with broker.with_manner(redirect):
            until(lambda: len(agent.messages("not refreshed")) >= 2)
            assert elsewhere.asked == []
        agent.holds("db", made.put())


def is_used_until_its_use_by(agent, made):
    """Waits for the use-by of an item that the broker does not give any more."""
    use_by = agent.metric("countersign_item_use_by_seconds", item="db")
    assert agent.path("db").exists() and agent.ask("/ready").status == 200
    while agent.path("db").exists():
        asked = time.time()
        assert asked < use_by + 1.5, "the file outlived it"
        if agent.secret(made.name)[0] == 200:
            assert asked < use_by + 1, "the endpoint went on with it"
    assert time.time() >= use_by, "it was taken away before"
    assert agent.secret(made.name)[0] == 503
    assert [agent.ask(path).status for path in ("/ready", "/started", "/health")] == [503, 200, 200]
    assert agent.metric("countersign_item_usable", item="db") == 0
    assert agent.messages("use-by")


def test_nothing_is_used_past_its_use_by(cli, memory, broker):
    made = Secret()
    with Agent(cli, memory, items={"db": file_of(made, keep="4s")}, url=broker.url) as agent:
        agent.rounds(2)
        with broker.gone():
            until(lambda: agent.metric("countersign_item_failures", item="db") >= 1)
            is_used_until_its_use_by(agent, made)
        agent.holds("db", made.value)
        until(agent.is_ready)
        assert agent.secret(made.name)[0] == 200


def test_nothing_is_used_past_its_use_by_while_the_broker_keeps_the_agent_waiting(cli, memory, broker):
    made = Secret()
    with Agent(cli, memory, items={"db": file_of(made, keep="4s")}, url=broker.url) as agent:
        agent.rounds(1)
        with broker.with_manner(unreliable.delays(30)):
            asked = len(broker.asked)
            until(lambda: len(broker.asked) > asked)
            is_used_until_its_use_by(agent, made)
            assert not agent.messages("not refreshed"), "it waits still"


def test_credentials_are_not_given_past_their_end(cli, memory, stack):
    items = {"aws": {"role": "deploy", "file": {"path": "aws.json"}}}
    with running() as (aws, _), stack.off_lambda(ENDPOINT_URL=aws) as url, Unreliable(stack, url) as broker, \
            Agent(cli, memory, items=items, url=broker.url) as agent:
        with broker.with_manner(unreliable.answers(503, {}, "{}")):
            _, credentials = agent.credentials()
            end = ShortSessions.ends[credentials["AccessKeyId"]]
            while agent.path("aws.json").exists():
                asked = time.time()
                assert asked < end + 1.5
                if agent.credentials()[0] == 200:
                    assert asked < end + 1
            assert agent.credentials()[0] == 503
        until(lambda: agent.credentials()[0] == 200)
        assert agent.credentials()[1]["AccessKeyId"] != credentials["AccessKeyId"]


def test_a_broker_that_throttles_is_left_alone_for_as_long_as_it_says(cli, memory, broker):
    made = Secret()
    with Agent(cli, memory, items={"db": file_of(made)}, url=broker.url) as agent:
        agent.rounds(1)
        asked = len(broker.asked)
        with broker.with_manner(unreliable.throttles(4, times=1)):
            until(lambda: len(broker.asked) > asked)
            until(lambda: agent.messages("not refreshed"))
            # Nothing changes that.
            agent.process.send_signal(signal.SIGHUP)
            agent.secret(made.name, refreshNow="true")
            until(lambda: len(broker.asked) > asked + 1)
        assert broker.asked[asked + 1] - broker.asked[asked] >= 4
        assert agent.metric("countersign_exchanges_total", outcome="throttled") == 1
        assert agent.metric("countersign_item_failures", item="db") == 0, "it is no failure of the item's"


def test_a_secret_that_is_deleted_takes_no_other_with_it(cli, memory):
    kept, deleted = Secret(), Secret()
    items = {"kept": {"secret": kept.name, "file": {"path": "kept"}}, "deleted": file_of(deleted, keep="4s")}
    with Agent(cli, memory, items=items) as agent:
        deleted.delete()
        until(lambda: agent.metric("countersign_item_failures", item="deleted") >= 1)
        agent.holds("kept", kept.put())
        until(lambda: not agent.path("db").exists())
        agent.holds("kept", kept.put())
        assert agent.metric("countersign_item_failures", item="kept") == 0
        assert agent.ask("/ready").status == 503
        assert agent.secret(kept.name)[0] == 200 and agent.secret(deleted.name)[0] == 503
        # It is stored again, and comes again.
        again = Secret(deleted.name)
        agent.holds("db", again.value)
        until(agent.is_ready)


def test_an_agent_that_starts_without_a_broker_has_everything_later(cli, memory, broker):
    cli.pull()
    made = Secret()
    broker.leave()
    with Agent(cli, memory, items={"db": file_of(made)}, url=broker.url, wait_for="/health") as agent:
        until(lambda: agent.messages("not refreshed"))
        assert agent.ask("/ready").status == 503 and agent.secret(made.name)[0] == 503
        broker.listen()
        agent.holds("db", made.value)
        until(agent.is_ready)
