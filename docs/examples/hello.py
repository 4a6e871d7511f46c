"""Says hello as a device: one message to the topic sensors/THING, by MQTT 3.1.1 with the device's certificate.

usage: hello.py ENDPOINT[:PORT] THING FOLDER

FOLDER is what `countersign device provision --root-ca ...` wrote. Any other client of MQTT does as well.
"""

import socket
import ssl
import sys


def packet(kind, body):
    assert len(body) < 128, "lengths of one byte are enough here"
    return bytes([kind, len(body)]) + body


def text(value):
    return len(value).to_bytes(2, "big") + value.encode()


endpoint, thing, folder = sys.argv[1:]
host, _, port = endpoint.partition(":")
context = ssl.create_default_context(cafile=f"{folder}/root-ca.pem")
context.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
with context.wrap_socket(socket.create_connection((host, int(port or 8883)), timeout=10), server_hostname=host) as device:
    # The client id is the thing's name; 60 seconds until AWS IoT wants to hear of it again.
    device.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x3c" + text(thing)))
    if device.recv(4) != b"\x20\x02\x00\x00":
        sys.exit("AWS IoT does not let the device in")
    device.sendall(packet(0x32, text(f"sensors/{thing}") + b"\x00\x01hello"))
    if device.recv(4) != b"\x40\x02\x00\x01":
        sys.exit("AWS IoT does not take the message")
print("AWS IoT took the message")
