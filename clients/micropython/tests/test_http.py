"""HTTP alone: bodies of every kind, and answers that are none."""

from espalier.http import Http, HttpError


class Stream:
    """A connection that has everything already."""

    def __init__(self, data):
        self.data = data
        self.sent = b""

    def write(self, data):
        self.sent += bytes(data[:7])
        return min(7, len(data))

    def read(self, count):
        piece, self.data = self.data[:count], self.data[count:]
        return piece

    def readline(self, most):
        end = self.data.find(b"\n") + 1 or len(self.data)
        return self.read(min(end, most))

    def close(self):
        pass


class Canned(Http):
    def _connect(self):
        self._socket = Stream(self.data)


def ask(data, **options):
    http = Canned("http://host", "token", **options)
    http.data = data
    return http, http.request("POST", "/x", '{"ä":1}')


def test_every_kind_of_body_is_read():
    http, answer = ask(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello")
    assert answer[0] == 200 and answer[2] == b"hello" and answer[1]["a"] == "b"
    sent = http._socket.sent
    assert sent.startswith(b"POST /x HTTP/1.1\r\nHost: host\r\n") and b"Authorization: Bearer token\r\n" in sent
    assert sent.endswith(b"Content-Length: 8\r\n\r\n" + '{"ä":1}'.encode()), sent
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
    assert ask(chunked)[1][2] == b"abc0123456789"
    http, answer = ask(b"HTTP/1.0 200 OK\r\n\r\nto the end")
    assert answer[2] == b"to the end" and http._socket is None
    assert ask(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")[1][2] == b""
    http, _ = ask(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert http._socket is None


def test_what_is_no_answer_is_said():
    for data in (
        b"",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200,
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 20000,
    ):
        try:
            found = ask(data)
        except HttpError:
            continue
        raise AssertionError((data[:60], found))
