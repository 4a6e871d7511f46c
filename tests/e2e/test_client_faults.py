"""The command against a broker that throttles, fails, stalls, redirects or is somebody else."""

import contextlib
import email.utils
import http.server
import threading
import time

import reference_client
import relay


@contextlib.contextmanager
def broker(answers, stack):
    """A proxy in front of the stack that gives these answers first: (status, headers, body), or a number of seconds to
    stall. Yields its URL and the bodies that it received."""
    received = []

    class Handler(relay.Relay):
        def do_POST(self):
            body = self.body()
            received.append(body)
            planned = answers.pop(0) if answers else None
            if isinstance(planned, (int, float)):
                time.sleep(planned)
                self.close_connection = True
                return
            self.answer(*(planned or stack.http("POST", "/v2/exchange", body, {"Content-Type": "application/jose"})))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_throttling_and_server_errors_are_tried_again_with_a_new_request(cli, stack):
    cli.pull()
    planned = [(429, {"Retry-After": "1"}, "{}"), (503, {}, "{}"), (502, {}, "<html>")]
    with broker(planned, stack) as (url, received):
        began = time.monotonic()
        done = cli.run("get", "app/db", "--url", url)
    assert (done.returncode, done.stdout) == (0, b"correct horse battery staple"), done.stderr
    assert time.monotonic() - began >= 1, "Retry-After was obeyed"
    assert len(received) == len(set(received)) == 4


def test_a_wait_that_the_broker_asks_for_is_waited_in_full_and_one_past_the_timeout_ends_at_once(cli, stack):
    cli.pull()
    in_seven_seconds = {"Retry-After": email.utils.formatdate(time.time() + 7, usegmt=True)}
    with broker([(429, in_seven_seconds, "{}")], stack) as (url, received):
        began = time.monotonic()
        done = cli.run("get", "app/db", "--url", url)
    assert done.returncode == 0 and len(received) == 2, done.stderr
    assert time.monotonic() - began >= 5.5, "longer than the pauses of its own would be"
    with broker([(429, {"Retry-After": "60"}, "{}")], stack) as (url, received):
        began = time.monotonic()
        done = cli.run("get", "app/db", "--url", url)
    assert done.returncode == 7 and "asks to wait for 60 s" in done.stderr.decode()
    assert len(received) == 1 and time.monotonic() - began < 5


def test_it_gives_up_after_five_tries(cli, stack):
    cli.pull()
    with broker([(503, {}, "{}")] * 9, stack) as (url, received):
        done = cli.run("get", "app/db", "--url", url)
    assert done.returncode == 7 and "status 503, 5 tries" in done.stderr.decode()
    assert len(received) == 5


def test_it_gives_up_after_five_tries_even_where_it_pulled_again_in_between(cli, stack):
    planned = [(503, {}, "{}")] * 4 + [(401, {"x-request-id": "r"}, "{}")] + [(503, {}, "{}")] * 9
    with broker(planned, stack) as (url, received):
        done = cli.run("get", "app/db", "--url", url, "--from", f"s3://{stack.bucket}")
    assert done.returncode == 7 and "status 503, 6 tries" in done.stderr.decode()
    assert len(received) == 6


def test_a_refusal_is_told_even_where_nothing_can_be_pulled(cli, stack):
    cli.pull()
    with broker([(401, {"x-request-id": "r"}, "{}")], stack) as (url, _):
        done = cli.run("get", "app/db", "--url", url, "--from", "s3://no-such-bucket-here")
    assert done.returncode == 4 and "request id r" in done.stderr.decode()


def test_a_broker_that_stalls_runs_into_the_timeout(cli, stack):
    cli.pull()
    with broker([30], stack) as (url, _):
        began = time.monotonic()
        done = cli.run("get", "app/db", "--url", url, "--timeout", "2")
    assert done.returncode == 7 and "no answer in time" in done.stderr.decode()
    assert time.monotonic() - began < 15


def test_an_answer_from_somebody_else_is_refused(cli, stack):
    cli.pull()
    jose = {"Content-Type": "application/jose"}
    for name, planned in {
        "not a JWE": (200, jose, "hello"),
        "a JWE under another key": (200, jose, "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"),
        "a denial without a proof of who denies": (403, {}, '{"detail":"eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"}'),
        "a redirect": (302, {"Location": "http://192.0.2.1/"}, ""),
        "far too much": (200, jose, b"A" * (5 * 1024 * 1024)),
    }.items():
        with broker([planned], stack) as (url, received):
            done = cli.run("get", "app/db", "--url", url)
        assert (done.returncode, done.stdout, len(received)) == (8, b"", 1), (name, done.stderr)


def test_a_replayed_answer_is_refused(cli, stack):
    cli.pull()
    with broker([], stack) as (url, received):
        assert cli.run("get", "app/db", "--url", url).returncode == 0
        body = received[0]
    status, headers, text = stack.http("POST", "/v2/exchange", body, {"Content-Type": "application/jose"})
    assert status == 401
    manifest = stack.manifest()
    recorded, _ = reference_client.request(manifest, stack.pool(manifest), [{"type": "secret", "id": "app/db"}])
    answer = stack.http("POST", "/v2/exchange", recorded.encode(), {"Content-Type": "application/jose"})
    with broker([(200, {"Content-Type": "application/jose"}, answer[2])], stack) as (url, _):
        assert cli.run("get", "app/db", "--url", url).returncode == 8


def test_a_clock_that_is_wrong_is_named(cli, stack):
    """The broker's clock, as its header tells, against this machine's."""
    cli.pull()
    for date, named in (("Sun, 06 Nov 1994 08:49:37 GMT", True), (email.utils.formatdate(usegmt=True), False)):
        with broker([(401, {"x-request-id": "r", "Date": date}, "{}")], stack) as (url, _):
            done = cli.run("get", "app/db", "--url", url)
        assert done.returncode == 4 and "request id r" in done.stderr.decode()
        assert ("clock differs" in done.stderr.decode()) == named
