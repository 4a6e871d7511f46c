"""A spammer: asks codes for many subjects and never finishes, guesses codes, replays tokens and codes.
usage: spammer.py URL CA-URL CA-ROOT SOURCE SUBJECT... <CAPTURED

By the local gateway it comes from SOURCE, by AWS's from where it is. CAPTURED is what it overheard, a list in JSON of
{"subject", "code", "token", "csr"}; [] where it knows no more than what is public. It prints what it did and what that was answered
with."""

import collections
import json
import ssl
import sys
import urllib.error
import urllib.request

CODES = [f"{code:08}" for code in (12345678, 0, 11111111, 87654321, 20262026, 99999999, 31415926)]


class Spammer:
    def __init__(self, url, ca_url, ca_root, source):
        self.host = url.split("//")[1].split("/")[0]
        self.url = url.replace(self.host, "127.0.0.1:" + self.host.split(":")[1])
        self.source, self.ca_url, self.context = source, ca_url, ssl.create_default_context(cafile=ca_root)
        self.done = collections.defaultdict(collections.Counter)

    def post(self, path, content, bearer=None):
        """The status of an answer."""
        headers = {"Host": self.host, "Content-Type": "application/json", "X-Forwarded-For": self.source}
        headers |= {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return self.send(urllib.request.Request(self.url + path, json.dumps(content).encode(), headers, method="POST"))

    def send(self, request, context=None):
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.read()
            return error.code

    def ask_and_never_finish(self, subjects, channels=("sms", "mail", "webhook")):
        for subject in subjects:
            for channel in channels:
                self.done["asked"][self.post("/v2/enroll/challenge", {"subject": subject, "channel": channel})] += 1

    def guess(self, subject, codes=CODES):
        for code in codes:
            self.done["guessed"][self.post("/v2/enroll/token", {"subject": subject, "code": code})] += 1

    def replay(self, subject, code, times=3):
        """A code that was used."""
        for _ in range(times):
            self.done["replayed"][self.post("/v2/enroll/token", {"subject": subject, "code": code})] += 1

    def replay_as_bearer(self, subject, token, times=3):
        """A one-time token in place of an access token."""
        for _ in range(times):
            self.done["replayed"][self.post("/v2/enroll/token", {"subject": subject}, token)] += 1

    def replay_at_the_ca(self, csr, token, times=3):
        order = json.dumps({"csr": csr, "ott": token}).encode()
        for _ in range(times):
            request = urllib.request.Request(self.ca_url + "/1.0/sign", order, {"Content-Type": "application/json"})
            self.done["replayed at the CA"][self.send(request, self.context)] += 1


if __name__ == "__main__":
    url, ca_url, ca_root, source, *subjects = sys.argv[1:]
    spammer = Spammer(url, ca_url, ca_root, source)
    spammer.ask_and_never_finish(subjects)
    for subject in subjects:
        spammer.guess(subject)
    for overheard in json.load(sys.stdin):
        spammer.replay(overheard["subject"], overheard["code"])
        spammer.replay_as_bearer(overheard["subject"], overheard["token"])
        spammer.replay_at_the_ca(overheard["csr"], overheard["token"])
    json.dump(spammer.done, sys.stdout, indent=2)
