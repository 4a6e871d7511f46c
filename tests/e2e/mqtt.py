"""A client of AWS IoT's MQTT listener with mutual TLS, such as a device is one."""

import os
import socket
import ssl
import urllib.request


class Mqtt:
    """A connection of a device, by the PEM file of its certificate and key, or by certificate and key in two files."""

    def __init__(self, files, key=None):
        self.host, port = os.environ["LOCAL_MQTT_ENDPOINT"].split(":")
        with urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_ministack/iot/ca.pem", timeout=10) as answer:
            context = ssl.create_default_context(cadata=answer.read().decode())
        if files:
            context.load_cert_chain(files, key)
        plain = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
        self.socket = context.wrap_socket(plain, server_hostname=self.host)

    def connect(self, client_id):
        """Whether the client is let in."""
        identity = client_id.encode()
        variable = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(identity).to_bytes(2, "big") + identity
        try:
            self.socket.sendall(b"\x10" + bytes([len(variable)]) + variable)
            return self.socket.recv(4) == b"\x20\x02\x00\x00"
        except (ssl.SSLError, ConnectionError):
            return False

    def publish(self, topic):
        """Whether the message is taken."""
        payload = len(topic).to_bytes(2, "big") + topic.encode() + b"\x00\x01" + b"hello"
        self.socket.sendall(b"\x32" + bytes([len(payload)]) + payload)
        try:
            return self.socket.recv(4) == b"\x40\x02\x00\x01"
        except (ssl.SSLError, ConnectionError):
            return False
