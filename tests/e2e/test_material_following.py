"""Rotation of the broker, and an agent that runs through it."""

import json
import time

import pytest

import logs
from agents import Agent
from command import Cli
from secret import Secret
from waiting import until


def generation(folder):
    """Of the material in a folder."""
    return json.loads((folder / "groups/web/manifest.json").read_text())["generation"]


def outcomes(stack, since, granted):
    """How exchanges ended, once the log tells of so many that were granted."""
    return until(lambda: (counted := stack.outcomes(since))["granted"] >= granted and counted)


def went_well(agent):
    """No exchange was refused, as far as the agent and its users know. That the function is restarted may cut one short."""
    errors = [message["error"] for message in agent.messages("not refreshed")]
    assert agent.metric("countersign_exchanges_total", outcome="failed") == len(errors)
    cut_short = "the broker cannot answer", "the broker cannot be reached"
    return all(error.startswith(cut_short) for error in errors) and agent.process.poll() is None


def test_a_rotation_that_is_followed_in_time_is_not_noticed(cli, memory, stack):
    cli.pull()
    stack.rotate()
    # An instance that is warm tells the last generation for up to a minute.
    stack.restart()
    made, since = Secret(), int(time.time() * 1000)
    with Agent(cli, memory, items={"db": {"secret": made.name, "file": {"path": "db"}}}) as agent:
        # Soon after its start it asks for the generation.
        until(lambda: generation(cli.folder) == stack.manifest()["generation"])
        until(lambda: agent.metric("countersign_pulls_total") == 1)
        # This one ends the generation that it began with.
        stack.rotate()
        stack.restart()
        agent.holds("db", made.put())
        agent.rounds(2)
        assert went_well(agent)
        assert agent.metric("countersign_pulls_total") == 1
    # Two of before, and what came afterwards; of an instance that is ended the last lines may be missing.
    assert set(outcomes(stack, since, 4)) == {"granted"}


@pytest.mark.parametrize("kind", ["s3", "folder"])
def test_where_its_generation_was_ended_it_pulls_again_by_itself(cli, memory, stack, tmp_path, kind):
    mirror = Cli(stack, tmp_path / "mirror")
    mirror.pull()
    made = Secret()
    origin = {"from": f"s3://{stack.bucket}" if kind == "s3" else str(mirror.folder)}
    with Agent(cli, memory, items={"db": {"secret": made.name, "file": {"path": "db"}}}, **origin) as agent:
        # It asked for the generation, and does so in an hour again.
        agent.rounds()
        began = generation(cli.folder)
        for _ in range(2):
            # An instance that is warm knows what it knows for a minute: time enough for the mirror to follow before the agent is refused.
            stack.restart()
            agent.rounds()
            since = int(time.time() * 1000)
            stack.rotate()
            stack.rotate()
            mirror.pull()
            stack.restart()
            agent.holds("db", made.put())
            logs.awaited(lambda: stack.outcomes(since)["refused"], "exchange")
        until(lambda: generation(cli.folder) == began + 4)
        assert went_well(agent)
        assert agent.metric("countersign_pulls_total") == 3


def test_where_there_is_nothing_newer_yet_it_keeps_what_it_has(cli, memory, stack, tmp_path):
    """A mirror of the bucket that lags."""
    mirror = Cli(stack, tmp_path / "mirror")
    mirror.pull()
    made = Secret()
    config = {"items": {"db": {"secret": made.name, "file": {"path": "db"}}}, "from": str(mirror.folder)}
    with Agent(cli, memory, **config) as agent:
        agent.rounds()
        stack.rotate()
        stack.rotate()
        stack.restart()
        until(lambda: agent.messages("not refreshed"))
        assert agent.path("db").read_text() == made.value and agent.ask("/ready").status == 200
        value = made.put()
        mirror.pull()
        agent.holds("db", value)
        until(lambda: agent.metric("countersign_item_failures", item="db") == 0)
