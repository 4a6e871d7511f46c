"""A local AWS whose sessions of roles end after seconds, where AWS's last 15 minutes at least."""

import contextlib
import re
import time

import proxy


class ShortSessions(proxy.Proxy):
    """Says of each new session that it ends soon, and from then on refuses it as AWS does."""

    seconds, ends, used = 24, {}, []

    def interfere(self, body):
        found = re.search(r"Credential=(\w+)/", self.headers.get("Authorization", ""))
        key = found and found[1]
        if time.time() >= self.ends.get(key, float("inf")):
            document = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>expired</Message></Error></ErrorResponse>"
            self.answer(403, {"Content-Type": "text/xml"}, document)
            return True
        self.used.append(key)
        if not (body or b"").startswith(b"Action=AssumeRole&"):
            return False
        status, headers, answer = self.passed_on(body)
        made = re.search(rb"<AccessKeyId>(\w+)</AccessKeyId>", answer)
        if made:
            end = int(time.time()) + self.seconds
            self.ends[made[1].decode()] = end
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)).encode()
            answer = re.sub(rb"<Expiration>[^<]*</Expiration>", b"<Expiration>" + end + b"</Expiration>", answer)
        self.answer(status, headers, answer)
        return True


@contextlib.contextmanager
def running():
    """Its URL, and the access keys that were used there, in their order."""
    ShortSessions.ends, ShortSessions.used = {}, []
    with proxy.running(ShortSessions) as url:
        yield url, ShortSessions.used
