"""An HTTP handler that passes on what another server answered."""

import http.server


class Relay(http.server.BaseHTTPRequestHandler):
    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, headers, body):
        payload = body if isinstance(body, bytes) else body.encode()
        self.send_response_only(status)
        for name, value in dict(headers).items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args):
        pass
