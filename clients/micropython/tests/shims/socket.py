"""`socket` as boards have it, over the other thread: blocking TCP with time limits."""

from binascii import hexlify, unhexlify

from prepare import call

AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR = 2, 1, 1, 2


def getaddrinfo(host, port, family=0, kind=0):
    return [(AF_INET, SOCK_STREAM, 0, "", (host, port))]


class socket:
    def __init__(self, family=AF_INET, kind=SOCK_STREAM, handle=0):
        self._handle = handle
        self._timeout = 10000
        self._at = None
        self._rest = b""

    def settimeout(self, seconds):
        self._timeout = int(seconds * 1000)

    def setsockopt(self, level, name, value):
        pass

    def connect(self, address):
        self._handle = call("connect", address[0], address[1], self._timeout)
        if not self._handle:
            raise OSError(111)

    def bind(self, address):
        self._at = address[1]

    def listen(self, backlog=1):
        self._handle = call("listen", self._at)

    def accept(self):
        handle = call("accept", self._handle, self._timeout)
        if not handle:
            raise OSError(110)
        return socket(handle=handle), ("127.0.0.1", 0)

    def send(self, data):
        if not call("send", self._handle, hexlify(bytes(data)).decode()):
            raise OSError(104)
        return len(data)

    write = send

    def recv(self, count):
        if self._rest:
            piece, self._rest = self._rest[:count], self._rest[count:]
            return piece
        piece = call("receive", self._handle, count, self._timeout)
        if piece is None:
            raise OSError(110)
        return unhexlify(piece)

    def read(self, count=-1):
        # As a board's stream: everything that was asked for, less only at the end.
        data = b""
        while count < 0 or len(data) < count:
            piece = self.recv(4096 if count < 0 else count - len(data))
            if not piece:
                break
            data += piece
        return data

    def readline(self, most=-1):
        line = b""
        while not line.endswith(b"\n") and (most < 0 or len(line) < most):
            piece = self.recv(1024)
            if not piece:
                break
            end = piece.find(b"\n") + 1 or len(piece)
            if most >= 0:
                end = min(end, most - len(line))
            line += piece[:end]
            self._rest = piece[end:] + self._rest
        return line

    def close(self):
        if self._handle:
            call("close", self._handle)
        self._handle = 0
