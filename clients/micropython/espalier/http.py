"""HTTP/1.1 over a kept socket, as far as this server and the proxies before it speak it.

The `requests` of micropython-lib does not check certificates; this does, and refuses `https` without the authority's
certificate. It follows no redirects: a token must not travel to where it was not sent.
"""

import json
import socket

_MAX_LINE = 1024


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


class Http:
    """One server. `ca` is the authority's certificate (DER or PEM bytes), needed for https."""

    def __init__(self, url, token="", ca=None, timeout_s=10, max_body=16384):
        self.secure, self.host, self.port = split_url(url)
        if self.secure and ca is None:
            raise ValueError("https needs the certificate of the authority that signed the server's; give it as ca")
        self._token = token
        self._ca = ca
        self._timeout = timeout_s
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

    def request(self, method, path, body=None, headers=()):
        """Sends a request; `body` is JSON text. Returns (status, headers, body bytes). Raises HttpError when nobody answers."""
        kept = self._socket is not None
        try:
            try:
                return self._once(method, path, body, headers)
            except OSError:
                # A kept connection may have been closed meanwhile. All requests of this package may be repeated.
                if not kept:
                    raise
                self.close()
                return self._once(method, path, body, headers)
        except OSError as error:
            self.close()
            if isinstance(error, HttpError):
                raise
            raise HttpError("the server cannot be reached (%s)" % error)

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
            if self.secure:
                import ssl

                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(cadata=self._ca)
                connection = context.wrap_socket(connection, server_hostname=self.host)
        except OSError:
            connection.close()
            raise
        self._socket = connection

    def _once(self, method, path, body, headers):
        if self._socket is None:
            self._connect()
        default = 443 if self.secure else 80
        host = self.host if self.port == default else "%s:%d" % (self.host, self.port)
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host, "User-Agent: espalier-micropython/0.1"]
        if self._token:
            lines.append("Authorization: Bearer " + self._token)
        data = b""
        if body is not None:
            data = body.encode()
            lines.append("Content-Type: application/json")
            lines.append("Content-Length: %d" % len(data))
        lines.extend(headers)
        self._send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        return self._receive()

    def _send(self, data):
        view = memoryview(data)
        while len(view):
            # Of sockets with and without TLS, `write`, `read` and `readline` are what both have.
            sent = self._socket.write(view)
            if not sent:
                raise HttpError("the connection broke off")
            view = view[sent:]

    def _line(self):
        line = self._socket.readline(_MAX_LINE)
        if line is None:
            raise HttpError("the server did not answer in time")
        if not line.endswith(b"\n"):
            raise HttpError("the connection broke off" if len(line) < _MAX_LINE else "what answers does not speak HTTP")
        return line.rstrip(b"\r\n")

    def _exactly(self, count):
        if count > self._max_body:
            raise HttpError("the answer is larger than %d bytes" % self._max_body)
        body = b""
        while len(body) < count:
            piece = self._socket.read(count - len(body))
            if not piece:
                raise HttpError("the connection broke off")
            body += piece
        return body

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

    def _receive(self):
        status = 100
        while 100 <= status < 200:
            status, names, keep = self._head()
        length = names.get("content-length", "")
        if status in (204, 304):
            body = b""
        elif names.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
        elif length.isdigit():
            body = self._exactly(int(length))
        else:
            keep = False
            body = self._socket.read(self._max_body + 1) or b""
            if len(body) > self._max_body:
                raise HttpError("the answer is larger than %d bytes" % self._max_body)
        if not keep or names.get("connection", "").lower() == "close":
            self.close()
        return status, names, body

    def _chunks(self):
        body = b""
        while True:
            try:
                length = int(self._line().split(b";")[0], 16)
            except ValueError:
                raise HttpError("what answers does not speak HTTP")
            if length == 0:
                break
            if length < 0 or len(body) + length > self._max_body:
                raise HttpError("the answer is larger than %d bytes" % self._max_body)
            body += self._exactly(length)
            self._line()
        while self._line():
            pass
        return body
