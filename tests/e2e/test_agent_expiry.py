"""SDKs that go on after their credentials ended, with AWS's own time: a session lasts 15 minutes at least.

conftest.py has the first test run before all others, and the last one after them, which then has to wait for little or for
nothing. In a run of few files it would wait for long, and is skipped aloud. In a run of all (scripts/test) it waits for as long
as it takes.
"""

import calendar
import contextlib
import time

import botocore.exceptions
import pytest

import sdks
from agents import Agent
from command import Cli
from test_agent_sdks import ASSUMED, ITEMS, by_endpoint, by_process_and_agent

# In a run of few files.
PATIENCE = 480


@pytest.fixture(scope="session")
def programs(stack, tmp_path_factory, long_memory):
    """An agent and two programs that are there all the time, and its first credentials. The broker is the deployed binary, off
    Lambda: other tests count what happens on it."""
    with contextlib.ExitStack() as opened:
        broker = opened.enter_context(stack.off_lambda())
        cli = Cli(stack, tmp_path_factory.mktemp("expiry") / "material")
        agent = opened.enter_context(Agent(cli, long_memory, items=ITEMS, url=broker))
        started = [
            opened.enter_context(sdks.Program(sdks.environment(long_memory, **way(agent))))
            for way in (by_endpoint, by_process_and_agent)]
        yield agent, started, agent.credentials()[1]


@pytest.mark.first
def test_programs_begin_with_the_first_credentials(programs):
    _, started, first = programs
    for program in started:
        came = program.call()
        assert ASSUMED in came["arn"] and came["access_key_id"] == first["AccessKeyId"]


@pytest.mark.last
def test_programs_go_on_after_the_first_credentials_ended(programs, whole_run):
    agent, started, first = programs
    end = calendar.timegm(time.strptime(first["Expiration"], "%Y-%m-%dT%H:%M:%SZ"))
    left = end + 1 - time.time()
    if left > PATIENCE and not whole_run:
        pytest.skip(f"in this run it would wait for {left:.0f} s")
    while time.time() < end + 1:
        time.sleep(1)
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        sdks.client("sts", first).get_caller_identity()
    # The local AWS forgets such a key as soon as somebody else assumes a role.
    assert raised.value.response["Error"]["Code"] in ("ExpiredToken", "InvalidClientTokenId")
    for program in started:
        came = program.call()
        assert ASSUMED in came["arn"] and came["access_key_id"] != first["AccessKeyId"]
    for way in (by_endpoint, by_process_and_agent):
        variables = sdks.environment(agent.folder, **way(agent))
        assert ASSUMED in sdks.aws(variables, "sts", "get-caller-identity")["Arn"]
    assert agent.process.poll() is None
