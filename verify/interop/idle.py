#!/usr/bin/env python3
"""Clients of the kernel that fall silent between two questions.

Usage: idle.py http|websocket HOST PORT COUNT SILENCE: opens that many connections, has a question answered on
each, is silent for so many seconds, asks on each again, in another order, and closes. Exit code 0: every
answer was right.
"""
import base64
import os
import random
import socket
import sys
import time


class Http:
    def __init__(self, stream, number):
        self.stream, self.number, self.asked = stream, number, 0

    def ask(self):
        path = f"/{self.number}/{self.asked}"
        self.asked += 1
        self.stream.sendall(f"GET {path} HTTP/1.1\r\nHost: idle\r\n\r\n".encode())
        return f"you asked for {path}\n".encode()

    def answer(self):
        head, _, body = read_until(self.stream, b"\r\n\r\n").partition(b"\r\n\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        while len(body) < int(fields["content-length"]):
            body += more(self.stream)
        return body


class WebSocket:
    """RFC 6455: a text frame is answered with the same text."""

    def __init__(self, stream, number):
        self.stream, self.number, self.asked = stream, number, 0
        key = base64.b64encode(os.urandom(16)).decode()
        stream.sendall(
            "GET / HTTP/1.1\r\nHost: idle\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = read_until(stream, b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            sys.exit(f"no WebSocket: {head!r}")

    def ask(self):
        text = f"{self.number} asks {self.asked}".encode()
        self.asked += 1
        mask = os.urandom(4)
        masked = bytes(octet ^ mask[at % 4] for at, octet in enumerate(text))
        self.stream.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)
        return text

    def answer(self):
        octets = b""
        while len(octets) < 2 or len(octets) < 2 + octets[1]:
            octets += more(self.stream)
        return octets[2:] if octets[0] == 0x81 else octets


def more(stream):
    octets = stream.recv(4096)
    if not octets:
        sys.exit("a connection was closed")
    return octets


def read_until(stream, end):
    octets = b""
    while end not in octets:
        octets += more(stream)
    return octets


def main():
    kind, host, port, count, silence = sys.argv[1:]
    clients = []
    for number in range(int(count)):
        stream = socket.create_connection((host, int(port)), timeout=10)
        clients.append({"http": Http, "websocket": WebSocket}[kind](stream, number))
    for is_last in False, True:
        expected = [(client, client.ask()) for client in clients]
        for client, answer in expected:
            found = client.answer()
            if found != answer:
                sys.exit(f"client {client.number}: {found!r}, not {answer!r}")
        if not is_last:
            time.sleep(float(silence))
            random.shuffle(clients)


main()
