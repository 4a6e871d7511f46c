"""A client of the older three routes, with nothing but Python's library: a number is registered, the code that was sent to it is
exchanged for a token, the token for a certificate."""

import json
import ssl
import urllib.error
import urllib.request


class OlderEnrollClient:
    """Of the service at `url`, whose host is reached at 127.0.0.1; the CA's root is a file."""

    def __init__(self, url, ca_url, ca_root):
        self.host = url.split("//")[1].split("/")[0]
        self.url = url.replace(self.host, "127.0.0.1:" + self.host.split(":")[1])
        self.ca_url, self.context = ca_url, ssl.create_default_context(cafile=ca_root)

    def post(self, path, content, **headers):
        """The body of an answer, whatever its status; and its type."""
        headers = {"Host": self.host, "Content-Type": "application/json"} | headers
        request = urllib.request.Request(self.url + path, json.dumps(content).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read().decode(), answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            return error.read().decode(), error.headers.get_content_type()

    def registration(self, number):
        """`1111` where a code was sent, or why not."""
        return self.post("/registration", {"number": number})[0]

    def send_token(self, number, token):
        """The one-time token, or why not."""
        return json.loads(self.post("/send_token", {"number": number, "token": token})[0])["msg"]

    def revoke_token(self, number, bearer=None, **more):
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return json.loads(self.post("/revoke_token", {"number": number} | more, **headers)[0])["msg"]

    def sign(self, csr, token):
        """The certificate and the one that signed it."""
        order = json.dumps({"csr": csr, "ott": token}).encode()
        request = urllib.request.Request(self.ca_url + "/1.0/sign", order, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, context=self.context, timeout=30) as answer:
            assert answer.status == 201
            content = json.load(answer)
        return content["crt"], content["ca"]
