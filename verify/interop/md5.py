#!/usr/bin/env python3
"""A client of the kernel whose connections carry the MD5 option (RFC 2385).

Usage: md5.py HOST PORT KEY OCTETS: sends that many octets to an echo service and compares what comes
back. An empty KEY means none. Exit code 0: equal; 3: no connection within two seconds.
"""
import socket
import struct
import sys

TCP_MD5SIG = 14


def signature(address, family, key):
    if family == socket.AF_INET:
        name = struct.pack("H2s4s", family, b"", socket.inet_pton(family, address))
    else:
        name = struct.pack("H2sI16s", family, b"", 0, socket.inet_pton(family, address))
    return name.ljust(128, b"\0") + struct.pack("BBHi", 0, 0, len(key), 0) + key.ljust(80, b"\0")


def main():
    host, port, key, octets = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode(), int(sys.argv[4])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    stream = socket.socket(family)
    if key:
        stream.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, signature(host, family, key))
    stream.settimeout(2)
    try:
        stream.connect((host, port))
    except TimeoutError:
        return 3
    data = bytes(i % 251 for i in range(65536))
    done = 0
    while done < octets:
        part = data[: octets - done]
        stream.sendall(part)
        back = bytearray()
        while len(back) < len(part):
            back += stream.recv(65536)
        if back != part:
            return 1
        done += len(part)
    return 0


sys.exit(main())
