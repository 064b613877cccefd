"""The operations of operations.mjs, for an interpreter that has sockets: one line of JSON each way."""

import os
import socket

_connection = socket.socket()
_connection.connect(socket.getaddrinfo("127.0.0.1", int(os.getenv("ESPALIER_OPERATIONS")))[0][-1])


def call(name, args):
    _connection.write(b'{"name":"%s","args":%s}\n' % (name.encode(), args.encode()))
    answer = _connection.readline().decode()
    if answer.startswith("!"):
        raise RuntimeError(answer[1:])
    return answer
