"""TLS as boards have it (mbedTLS), before the real server: who is believed, and that nobody else reads a token."""

import sys

import prepare
from bench import Board
from espalier import OFFLINE, ONLINE
from espalier import http as module
from espalier.http import Http, HttpError


def file(name):
    with open("/host/tests/" + name, "rb") as source:
        return source.read()


CA = file("ca.der")


def secure(name, certificate, host="localhost", ca=CA, **options):
    """A board whose server is behind TLS."""
    port = prepare.call("front", certificate)
    return port, Board(name, server="https://%s:%d" % (host, port), ca=ca, **options)


def test_values_and_wishes_travel_over_tls():
    for host in ("localhost", "127.0.0.1"):
        port, board = secure("tls", "good", host)
        done = []
        board.device.on_pin("v0", done.append)
        board.device.send({"n": 1})
        prepare.ask("PUT", "/devices/%s/desired" % board.id, {"v0": 1})
        board.run(10)
        board.settle()
        assert done == [1] and prepare.history(board.id, "n") == [1], board.said
        # All of it over one connection.
        assert prepare.call("seen", port)["handshakes"] == 1


def test_nobody_else_is_told_a_token():
    for certificate, ca in (("elsewhere", CA), ("expired", CA), ("stranger", CA), ("forged", CA), ("good", file("other-ca.der"))):
        port, board = secure("tls-" + certificate, certificate, ca=ca)
        board.device.send({"n": 1})
        board.run(30)
        assert board.device.state == OFFLINE and board.device.failures == 0, (certificate, board.said)
        assert "cannot be reached" in board.said[-1] and board.token not in "".join(board.said)
        assert prepare.call("seen", port)["bytes"] == 0, certificate
        assert not board.device.settled()


def test_answers_larger_than_the_heap_come_over_tls():
    port, board = secure("tls-large", "good", commands_s=0)
    prepare.fill_latest(board)
    done = []
    board.device.on_pin("v0", done.append)
    prepare.ask("PUT", "/devices/%s/desired" % board.id, {"v0": 1})
    board.run(2)
    board.settle()
    assert done == [1] and board.device.failures == 0, board.said


def test_a_network_that_goes_under_tls_comes_back():
    port, board = secure("tls-away", "good")
    board.run(1)
    for n in range(3):
        prepare.call("unplug")
        try:
            board.device.send({"n": n})
            board.run(20)
            assert board.device.state == OFFLINE and board.device.failures == 0, board.said
        finally:
            prepare.call("plug")
        board.settle()
    # The clock of this test runs faster than the server's, which the board corrects: only the values are looked at.
    assert sorted(prepare.history(board.id, "n")) == [0, 1, 2]
    assert board.device.state == ONLINE


def test_what_is_no_certificate_is_refused_at_once():
    for ca in (b"", b"nonsense", CA[:-5], b"-----BEGIN CERTIFICATE-----\n"):
        try:
            Http("https://localhost", "t", ca)
        except ValueError as error:
            assert "certificate" in str(error)
            continue
        raise AssertionError(ca)


def test_plain_http_is_no_tls():
    plain = prepare.board.split(":")[2]
    http = Http("https://localhost:" + plain, "t", CA, timeout_s=2)
    try:
        http.request("GET", "/")
        raise AssertionError("it must not be spoken to")
    except HttpError as error:
        assert "cannot be reached" in str(error)


def test_a_clock_that_is_not_set_is_set_before_the_handshake_or_told():
    asked = []
    before = module.clock_is_set

    class Ntp:
        pass

    # As the module of boards that asks a time server.
    Ntp.settime = lambda: asked.append(1)
    sys.modules["ntptime"] = Ntp
    try:
        module.clock_is_set = lambda: bool(asked)
        port, board = secure("tls-clock", "good")
        board.device.send({"n": 1})
        board.settle()
        assert asked == [1]

        def away():
            raise OSError(110)

        Ntp.settime = away
        del asked[:]
        port, board = secure("tls-no-clock", "expired")
        board.run(3)
        assert "clock is not set" in board.said[-1], board.said
    finally:
        module.clock_is_set = before
        del sys.modules["ntptime"]
