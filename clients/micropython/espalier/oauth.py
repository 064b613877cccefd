"""A board that asks a person for access to a service (Strava first): the link to open, the page that takes the answer, the tokens.

The page listens on port 8080 for at most five minutes. It takes a code only with the state that this board made, so that nobody
can slip in a code of theirs; it shows nothing that it was sent without escaping it. The service must allow a redirect to the
board's address; Strava allows only the domain registered with it, and `localhost`.
"""

import json
import os
import socket
import time

from .http import Http, split_url

_MAX_REQUEST = 2048
_SAFE = "-._~"


def new_state():
    """32 hexadecimal digits that nobody guesses."""
    return "".join("%02x" % byte for byte in os.urandom(16))


def quote(text):
    """Percent-encodes everything but letters, digits and -._~."""
    out = ""
    for byte in text.encode():
        c = chr(byte)
        plain = "0" <= c <= "9" or "a" <= c <= "z" or "A" <= c <= "Z" or c in _SAFE
        out += c if plain else "%%%02X" % byte
    return out


def unquote(text):
    """Decodes `%XX` and `+`; ValueError when that is no text."""
    out = bytearray()
    parts = text.replace("+", " ").split("%")
    out.extend(parts[0].encode())
    for part in parts[1:]:
        if len(part) < 2:
            raise ValueError("a percent sign without two digits")
        out.append(int(part[:2], 16))
        out.extend(part[2:].encode())
    try:
        return bytes(out).decode()
    except UnicodeError:
        raise ValueError("not UTF-8")


def escape(text):
    """What may stand in HTML, in text and in attributes."""
    for c, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(c, entity)
    return text


def authorize_url(client_id, redirect_uri, state, scope="activity:read_all", base="https://www.strava.com/oauth/authorize"):
    """The link that the person opens."""
    pairs = (("client_id", client_id), ("response_type", "code"), ("redirect_uri", redirect_uri), ("scope", scope), ("state", state))
    return base + "?" + "&".join("%s=%s" % (name, quote(str(value))) for name, value in pairs)


def _page(status, title, text):
    body = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>%s</title>"
        "<h1>%s</h1><p>%s</p>" % (escape(title), escape(title), escape(text))
    ).encode()
    head = (
        "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\nCache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\r\n"
        % (status, len(body))
    )
    return head.encode() + body


_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Callback:
    """The page. `code` and `scope` hold the answer once it came; `denied` is true when the person said no."""

    def __init__(self, state):
        self._state = state
        self.code = None
        self.scope = ""
        self.denied = False

    def answer(self, request):
        """What to send back for the bytes of a request."""
        line = request.split(b"\r\n", 1)[0].split(b" ")
        if len(line) != 3 or not line[2].startswith(b"HTTP/1."):
            return _page("400 Bad Request", "Not understood", "This was no request of a browser.")
        try:
            target = line[1].decode()
        except UnicodeError:
            return _page("400 Bad Request", "Not understood", "The address is no text.")
        path, query = target.split("?", 1) if "?" in target else (target, "")
        if line[0] != b"GET" or path != "/callback":
            return _NOT_FOUND
        try:
            fields = {}
            for pair in query.split("&"):
                name, value = pair.split("=", 1) if "=" in pair else (pair, "")
                fields.setdefault(unquote(name), unquote(value))
        except ValueError:
            return _page("400 Bad Request", "Not understood", "The address is not encoded as it must be.")
        return self._decide(fields)

    def _decide(self, fields):
        if fields.get("state") != self._state:
            why = "The state is not the one that this board has made. Begin again with the link that the board shows."
            return _page("400 Bad Request", "Refused", why)
        if fields.get("error"):
            self.denied = True
            return _page("200 OK", "Not authorized", "The service answered: " + fields["error"])
        code = fields.get("code", "")
        if not code:
            return _page("400 Bad Request", "Refused", "The answer holds no code.")
        self.code, self.scope = code, fields.get("scope", "")
        return _page("200 OK", "Authorization Successful!", "The board has access to: " + (self.scope or "what was asked for"))

    def wait(self, port=8080, timeout_s=300, ready=None):
        """Serves the page until the answer is there or the time is over; returns the code or None."""
        server = socket.socket()
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(socket.getaddrinfo("0.0.0.0", port)[0][-1])
            server.listen(1)
            server.settimeout(1)
            if ready:
                ready()
            end = time.ticks_add(time.ticks_ms(), timeout_s * 1000)
            while self.code is None and not self.denied and time.ticks_diff(end, time.ticks_ms()) > 0:
                try:
                    connection = server.accept()[0]
                except OSError:
                    continue
                self._serve(connection)
        finally:
            server.close()
        return self.code

    def _serve(self, connection):
        try:
            connection.settimeout(5)
            request = b""
            while b"\r\n\r\n" not in request and len(request) <= _MAX_REQUEST:
                piece = connection.recv(512)
                if not piece:
                    break
                request += piece
            if len(request) > _MAX_REQUEST:
                answer = _page("431 Request Header Fields Too Large", "Too long", "The request is longer than this board reads.")
            else:
                answer = self.answer(request)
            while answer:
                answer = answer[connection.send(answer) :]
        except OSError:
            # Whoever asked has gone; the next one may be the browser.
            pass
        finally:
            connection.close()


class Tokens:
    """Access and refresh token of one account, kept in a file. The service may give a new refresh token each time: it is kept."""

    def __init__(self, path, client_id, client_secret, url="https://www.strava.com/oauth/token", ca=None):
        self._path = path
        self._id, self._secret = client_id, client_secret
        at = url.index("/", 8)
        split_url(url[:at])
        self._url, self._at, self._ca = url[:at], url[at:], ca
        try:
            with open(path) as file:
                self._kept = json.load(file)
        except (OSError, ValueError):
            self._kept = {}
        if not isinstance(self._kept, dict):
            self._kept = {}

    def exchange(self, code):
        """Gets the first tokens for a code; RuntimeError with a sentence when the service refuses, OSError when nobody answers or the
        tokens cannot be written. Those count all the same, until the next restart."""
        return self._get({"code": code, "grant_type": "authorization_code"})

    def refresh(self):
        """Gets a new access token."""
        kept = self._kept.get("refresh_token")
        if not kept:
            raise RuntimeError("there is no refresh token; ask the person for access first")
        return self._get({"refresh_token": kept, "grant_type": "refresh_token"})

    def access_token(self):
        """The access token as it was last given, or None."""
        return self._kept.get("access_token")

    def _get(self, fields):
        body = {"client_id": self._id, "client_secret": self._secret}
        body.update(fields)
        http = Http(self._url, "", self._ca)
        try:
            status, _, answer = http.ask("POST", self._at, body)
        finally:
            http.close()
        if status != 200 or not isinstance(answer, dict) or not answer.get("access_token"):
            raise RuntimeError("the service gave no token (%d)" % status)
        kept = {"access_token": answer["access_token"], "refresh_token": answer.get("refresh_token") or self._kept.get("refresh_token")}
        # Before they are written: the old refresh token may be worth nothing any more.
        self._kept = kept
        # Written beside and then renamed, so that a loss of power leaves the old ones.
        with open(self._path + ".new", "w") as file:
            json.dump(kept, file)
        os.rename(self._path + ".new", self._path)
        return kept["access_token"]
