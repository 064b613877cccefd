"""HTTP/1.1 over a kept socket, as far as this server and the proxies before it speak it.

The `requests` of micropython-lib does not check certificates; this does, and refuses `https` without the authority's
certificate. It follows no redirects: a token must not travel to where it was not sent.
"""

import json
import socket
import time

_MAX_LINE = 1024
_PIECE = 512
# A body that streams by may be this large: more than the server sends, and an end for what never ends.
_MAX_STREAM = 4 << 20


class HttpError(OSError):
    """There was no answer; the text says why."""


def split_url(url):
    """`http://host:port` as (secure, host, port); ValueError with a sentence when it is none."""
    secure = url.startswith("https://")
    rest = url[8:] if secure else url[7:]
    if not (secure or url.startswith("http://")):
        raise ValueError("the server's address must look like http://host:8000 or https://host")
    if rest.endswith("/"):
        rest = rest[:-1]
    host, port = rest, 443 if secure else 80
    if ":" in rest:
        host, text = rest.split(":", 1)
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise ValueError("the port of the server's address must be a number from 1 to 65535")
        port = int(text)
    if not host or any(c in "/@?#\"\\" or c <= " " for c in host):
        raise ValueError("the server's address must hold a host and nothing after it")
    return secure, host, port


def _context(ca):
    """What checks the server's certificate."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=ca)
    except (ValueError, OSError):
        raise ValueError("the authority's certificate is none; it must be one in DER form")
    return context


def clock_is_set():
    """Whether the board knows the year; without it no certificate is valid yet."""
    return time.gmtime()[0] >= 2024


def _set_clock():
    try:
        import ntptime

        ntptime.settime()
    except (ImportError, OSError, OverflowError):
        # Not every board compares dates: whether it goes without, the handshake shows.
        pass


class Http:
    """One server. `ca` is the authority's certificate (DER bytes), needed for https.

    `timeout_s`: how long the network may be silent; `total_s`: how long an answer may take. `max_body`: bytes of an answer that is
    kept whole.
    """

    def __init__(self, url, token="", ca=None, timeout_s=10, total_s=30, max_body=16384, ticks=time.ticks_ms):
        self.secure, self.host, self.port = split_url(url)
        if self.secure and ca is None:
            raise ValueError("https needs the certificate of the authority that signed the server's; give it as ca")
        self._tls = _context(ca) if self.secure else None
        self.token = token
        self._timeout = timeout_s
        self._total = total_s * 1000
        self._end = 0
        self._ticks = ticks
        self._max_body = max_body
        self._socket = None

    def close(self):
        """Hangs up."""
        if self._socket is not None:
            try:
                self._socket.close()
            except OSError:
                pass
        self._socket = None

    def request(self, method, path, body=None, headers=(), sieve=None):
        """Sends a request; `body` is JSON text. Returns (status, headers, body bytes). Raises HttpError when nobody answers.

        With a `sieve` the body of a 200 streams through that one, those of others are skipped, and the bytes are none.
        """
        kept = self._socket is not None
        try:
            try:
                return self._once(method, path, body, headers, sieve)
            except OSError:
                # A kept connection may have been closed meanwhile. All requests of this package may be repeated.
                if not kept:
                    raise
                self.close()
                return self._once(method, path, body, headers, sieve)
        except OSError as error:
            self.close()
            if isinstance(error, HttpError):
                raise
            raise HttpError(self._why(error))
        except Exception:
            # Memory may have run out in the middle of an answer; the rest of it must not be taken for the next one.
            self.close()
            raise

    def _why(self, error):
        why = "the server cannot be reached (%s)" % error
        if self.secure and not clock_is_set():
            why += "; the board's clock is not set, so that no certificate is valid"
        return why

    def ask(self, method, path, value=None, headers=()):
        """As `request`, with JSON both ways: (status, headers, value); the value is None when the answer is no JSON. A text is
        sent as it is."""
        text = value if value is None or isinstance(value, str) else json.dumps(value)
        status, names, body = self.request(method, path, text, headers)
        try:
            return status, names, json.loads(body) if body else None
        except ValueError:
            return status, names, None

    def _connect(self):
        address = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)[0][-1]
        connection = socket.socket()
        try:
            connection.settimeout(self._timeout)
            connection.connect(address)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_hostname=self.host)
        except Exception as error:
            connection.close()
            if isinstance(error, ValueError):
                # What the TLS library says of a certificate that it does not believe.
                raise HttpError(self._why(error))
            raise
        self._socket = connection

    def _once(self, method, path, body, headers, sieve):
        if self._socket is None:
            if self.secure and not clock_is_set():
                _set_clock()
            self._connect()
        self._end = time.ticks_add(self._ticks(), self._total)
        default = 443 if self.secure else 80
        host = self.host if self.port == default else "%s:%d" % (self.host, self.port)
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host, "User-Agent: espalier-micropython/0.1"]
        if self.token:
            lines.append("Authorization: Bearer " + self.token)
        data = b""
        if body is not None:
            data = body.encode()
            lines.append("Content-Type: application/json")
            lines.append("Content-Length: %d" % len(data))
        lines.extend(headers)
        self._send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        return self._receive(sieve)

    def _send(self, data):
        view = memoryview(data)
        while len(view):
            # Of sockets with and without TLS, `write`, `read` and `readline` are what both have.
            sent = self._socket.write(view)
            if not sent:
                raise HttpError("the connection broke off")
            view = view[sent:]

    def _in_time(self):
        if time.ticks_diff(self._end, self._ticks()) <= 0:
            raise HttpError("the server did not answer in time")

    def _line(self):
        self._in_time()
        line = self._socket.readline(_MAX_LINE)
        if line is None:
            raise HttpError("the server did not answer in time")
        if not line.endswith(b"\n"):
            raise HttpError("the connection broke off" if len(line) < _MAX_LINE else "what answers does not speak HTTP")
        return line.rstrip(b"\r\n")

    def _copy(self, count, put):
        """Hands `count` bytes of the body on, in small pieces: one large one may not be there in memory."""
        while count > 0:
            self._in_time()
            piece = self._socket.read(min(count, _PIECE))
            if not piece:
                raise HttpError("the connection broke off")
            count -= len(piece)
            put(piece)

    def _head(self):
        parts = self._line().split(None, 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
            raise HttpError("what answers does not speak HTTP")
        names = {}
        for _ in range(100):
            line = self._line()
            if not line:
                return int(parts[1]), names, parts[0] == b"HTTP/1.1"
            if b":" in line:
                name, value = line.split(b":", 1)
                try:
                    names[name.decode().lower()] = value.strip().decode()
                except UnicodeError:
                    pass
        raise HttpError("what answers sends too many headers")

    def _receive(self, sieve):
        status = 100
        while 100 <= status < 200:
            status, names, keep = self._head()
        body = _Body(_MAX_STREAM if sieve else self._max_body, None if sieve else bytearray())
        if sieve and status == 200:
            sieve.begin()
            body.put_on = sieve.put
        length = names.get("content-length", "")
        if status in (204, 304):
            pass
        elif names.get("transfer-encoding", "").lower() == "chunked":
            self._chunks(body)
        elif length.isdigit():
            body.expect(int(length))
            self._copy(int(length), body.put)
        else:
            keep = False
            self._until_end(body)
        if not keep or names.get("connection", "").lower() == "close":
            self.close()
        return status, names, b"" if sieve else bytes(body.kept)

    def _until_end(self, body):
        while True:
            self._in_time()
            piece = self._socket.read(_PIECE)
            if not piece:
                return
            body.expect(len(piece))
            body.put(piece)

    def _chunks(self, body):
        while True:
            try:
                length = int(self._line().split(b";")[0], 16)
            except ValueError:
                raise HttpError("what answers does not speak HTTP")
            if length == 0:
                break
            body.expect(length)
            self._copy(length, body.put)
            self._line()
        for _ in range(100):
            if not self._line():
                return
        raise HttpError("what answers sends too many headers")


class _Body:
    """Where the bytes of an answer go, up to a bound."""

    def __init__(self, most, kept):
        self._most = self._left = most
        self.kept = kept
        self.put_on = None

    def expect(self, count):
        self._left -= count
        if count < 0 or self._left < 0:
            raise HttpError("the answer is larger than %d bytes" % self._most)

    def put(self, piece):
        if self.put_on:
            self.put_on(piece)
        elif self.kept is not None:
            self.kept.extend(piece)
