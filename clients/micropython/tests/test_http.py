"""HTTP alone: bodies of every kind, and answers that are none."""

from espalier.http import Http, HttpError
from espalier.sieve import Sieve
from prepare import LAST_TICK


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


class Endless(Stream):
    """A server that never ends its answer, and takes its time."""

    def __init__(self, head, again, clock):
        super().__init__(head)
        self.again, self.clock = again, clock

    def read(self, count):
        self.clock[0] += 100
        if len(self.data) < count:
            self.data += self.again
        return super().read(count)

    def readline(self, most):
        self.clock[0] += 100
        if b"\n" not in self.data:
            self.data += self.again
        return super().readline(most)


def test_an_answer_that_never_ends_is_given_up():
    for head, again in (
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 600),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n", b"x" * 600),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    ):
        for sieve in (None, Sieve(lambda name, key: False)):
            clock = [LAST_TICK - 5000]
            http = Canned("http://host", ticks=lambda: clock[0] & LAST_TICK)
            http._connect = lambda: setattr(http, "_socket", Endless(head, again, clock))
            try:
                found = http.request("GET", "/", None, (), sieve)
            except HttpError as error:
                assert http._socket is None
                continue
            raise AssertionError((head, again, found))


def test_a_body_streams_through_a_sieve_and_only_that_of_a_200():
    body = b'{"data":"' + b"x" * 30000 + b'","time":7}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 5000]), body[at : at + 5000]) for at in range(0, len(body), 5000))
    for data in (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % chunks,
        b"HTTP/1.1 200 OK\r\n\r\n" + body,
    ):
        sieve = Sieve(lambda name, key: name == "time")
        http = Canned("http://host")
        http.data = data
        assert http.request("GET", "/", None, (), sieve)[2] == b""
        assert sieve.whole() and sieve.found == [("time", None, b"7", True)]
    http.close()
    http.data = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    sieve = Sieve(lambda name, key: True)
    assert http.request("GET", "/", None, (), sieve)[0] == 503 and not sieve.found


def test_an_answer_that_broke_off_is_not_mixed_with_the_next_one():
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b'HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{"time":1,', b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"time":2}']
    http = Canned("http://host")
    http._connect = lambda: setattr(http, "_socket", Stream(answers.pop(0)))
    http.request("GET", "/")
    http._socket.data = answers.pop(0)
    sieve = Sieve(lambda name, key: True)
    http.request("GET", "/", None, (), sieve)
    assert sieve.whole() and sieve.found == [("time", None, b"2", True)] and not answers
