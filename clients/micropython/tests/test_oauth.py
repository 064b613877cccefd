"""The page that takes the answer of a service: what it believes, what it shows, and the tokens that come of it."""

import json

import prepare
from espalier.oauth import Callback, Tokens, authorize_url, escape, new_state, quote, unquote


def get(path):
    return ("GET %s HTTP/1.1\r\nHost: board\r\n\r\n" % path).encode()


def test_the_link_is_encoded_and_has_a_state_that_is_new_each_time():
    link = authorize_url(7, "http://192.168.1.5:8080/callback", "s&t", scope="a:b,c")
    wanted = "https://www.strava.com/oauth/authorize?client_id=7&response_type=code&redirect_uri=http%3A%2F%2F192.168.1.5%3A8080%2Fcallback&scope=a%3Ab%2Cc&state=s%26t"
    assert link == wanted, link
    states = {new_state() for _ in range(50)}
    assert len(states) == 50 and all(len(state) == 32 for state in states)
    assert unquote(quote("ä/ &=+%")) == "ä/ &=+%"


def test_a_code_counts_only_with_the_state():
    for path in (
        "/callback?code=x",
        "/callback?code=x&state=",
        "/callback?code=x&state=wrong",
        "/callback?state=wrong&error=access_denied",
        "/callback?state=right&state=wrong2",
        "/callback?state=right",
    ):
        page = Callback("right")
        assert page.answer(get(path)).startswith(b"HTTP/1.1 400"), path
        assert page.code is None and not page.denied
    page = Callback("right")
    # The first state counts, not a second one that overrides it.
    assert page.answer(get("/callback?state=wrong&state=right&code=x")).startswith(b"HTTP/1.1 400")
    answer = page.answer(get("/callback?state=right&code=a%2Bb%3D&scope=read"))
    assert answer.startswith(b"HTTP/1.1 200") and b"Authorization Successful!" in answer
    assert page.code == "a+b=" and page.scope == "read"


def test_what_is_shown_is_escaped():
    evil = "%3Cscript%3Ealert(1)%3C/script%3E%22%27%26"
    for path in ("/callback?state=right&error=" + evil, "/callback?state=right&code=c&scope=" + evil):
        answer = Callback("right").answer(get(path))
        assert b"<script>" not in answer, answer
        assert b"&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;" in answer, answer
        assert b"default-src 'none'" in answer
    assert escape("<&>\"'") == "&lt;&amp;&gt;&quot;&#39;"


def test_other_paths_and_odd_requests():
    page = Callback("right")
    for request in (get("/"), get("/callback2?state=right&code=x"), b"POST /callback?state=right&code=x HTTP/1.1\r\n\r\n"):
        assert page.answer(request) == b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    for request in (b"", b"\x16\x03\x01\x00", b"GET /callback", b"GET  HTTP/1.1 x\r\n", get("/callback?%"), get("/callback?a=%zz"), get("/callback?a=%ff")):
        assert page.answer(request).startswith(b"HTTP/1.1 400"), request
    assert page.code is None


def test_the_page_is_served_until_the_code_is_there():
    page = Callback("right")
    requests = ["GET /favicon.ico HTTP/1.1\r\n\r\n", "GET /callback?state=wrong&code=x HTTP/1.1\r\n\r\n", "GET /" + "a" * 4000, "GET /callback?state=right&code=abc HTTP/1.1\r\n\r\n"]
    code = page.wait(port=18080, timeout_s=30, ready=lambda: prepare.call("visit", 18080, requests))
    assert code == "abc"
    answers = prepare.call("visited")
    statuses = [answer.split(" ")[1] for answer in answers]
    assert statuses == ["404", "400", "431", "200"], answers


def test_no_means_no_and_nobody_means_none():
    page = Callback("right")
    requests = ["GET /callback?state=right&error=access_denied HTTP/1.1\r\n\r\n"]
    assert page.wait(port=18081, timeout_s=30, ready=lambda: prepare.call("visit", 18081, requests)) is None
    assert page.denied
    prepare.call("visited")
    assert Callback("right").wait(port=18082, timeout_s=0) is None


class FakeHttp:
    """A service that answers what a test wants."""

    answers = []
    got = []

    def __init__(self, url, token="", ca=None):
        pass

    def ask(self, method, path, body):
        FakeHttp.got.append((method, path, body))
        return FakeHttp.answers.pop(0)

    def close(self):
        pass


def test_tokens_are_exchanged_renewed_and_kept():
    import espalier.oauth as oauth

    oauth.Http, before = FakeHttp, oauth.Http
    try:
        tokens = Tokens("/tokens", 7, "secret")
        FakeHttp.answers = [
            (200, {}, {"access_token": "a1", "refresh_token": "r1"}),
            (200, {}, {"access_token": "a2", "refresh_token": "r2"}),
            (401, {}, {"message": "no"}),
        ]
        assert tokens.exchange("code") == "a1"
        assert FakeHttp.got[0] == ("POST", "/oauth/token", {"client_id": 7, "client_secret": "secret", "code": "code", "grant_type": "authorization_code"})
        assert tokens.refresh() == "a2"
        # The new refresh token counts from now on, also after a restart.
        again = Tokens("/tokens", 7, "secret")
        assert again.access_token() == "a2"
        try:
            again.refresh()
            raise AssertionError("a refusal must be told")
        except RuntimeError as error:
            assert "401" in str(error)
        assert FakeHttp.got[2][2]["refresh_token"] == "r2"
        assert Tokens("/tokens", 7, "secret").access_token() == "a2"
    finally:
        oauth.Http = before
    try:
        Tokens("/none", 7, "secret").refresh()
        raise AssertionError("there is nothing to renew")
    except RuntimeError:
        pass
