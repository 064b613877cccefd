"""The device against the real server: values, wishes, commands, refusals, and a server that is away."""

import json

import prepare
from bench import Board
from espalier import Cache, Device, OFFLINE, ONLINE, REFUSED


def test_values_arrive():
    board = Board("values")
    for n in range(3):
        assert board.device.send({"n": n, "temperature": 21.5, "text": 'a "b" ä', "flag": True})
    board.settle()
    assert prepare.history(board.id, "n") == [0, 1, 2]
    state = prepare.ask("GET", "/devices/%s/state" % board.id)
    assert prepare.history(board.id, "temperature") == [21.5, 21.5, 21.5], state
    assert board.device.state == ONLINE


def test_what_is_no_value_is_left_out():
    board = Board("left-out")
    nan, inf = float("nan"), float("inf")
    assert not board.device.send({"_x": 1, "": 1, "a\nb": 1, "n": nan, "i": inf, "none": None, "huge": 1 << 60, 7: 1})
    assert board.device.send({"good": 1, "n": nan})
    board.settle()
    assert prepare.history(board.id, "good") == [1]


def test_a_server_that_is_away_gets_everything_later_in_order_and_once():
    cache = Cache("/away", max_ram=8)
    board = Board("away", cache=cache)
    board.device.send({"n": -1})
    board.settle()
    prepare.call("unplug")
    try:
        for n in range(50):
            board.device.send({"n": n})
            board.run(1)
        assert board.device.state == OFFLINE, board.said
        assert "samples are kept" in board.said[-1], board.said
        attempts = sum("next attempt" in line for line in board.said)
        assert attempts < 15, attempts
        # The board restarts meanwhile.
        assert cache.save()
    finally:
        prepare.call("plug")
    again = Board("away", access=(board.id, board.token), cache=Cache("/away", max_ram=8))
    again.settle()
    found = prepare.history(board.id, "n")
    assert found == list(range(-1, 50)), found


def test_an_answer_that_is_lost_makes_no_second_point():
    board = Board("lost-answer")
    board.device.send({"n": 1})
    board.run(1)
    board.device.send({"n": 2})
    lines = board.device.cache.take()
    # It arrives, and the board does not hear of it.
    assert board.device._post_samples(lines, None) == 200
    board.settle()
    assert prepare.history(board.id, "n") == [1, 2]


def test_a_bad_sample_does_not_stop_the_others():
    board = Board("bad-sample")
    board.device.send({"n": 1})
    board.run(1)
    board.device.cache.add('{"ts":7,"data":{"n":99}}')
    board.device.send({"n": 2})
    board.settle()
    assert prepare.history(board.id, "n") == [1, 2]
    assert board.device.refused_samples == 1


def test_a_wish_is_done_and_reported_with_its_version():
    board = Board("wish")
    done = []
    board.device.on_pin("v0", done.append)
    board.run(1)
    prepare.ask("PUT", "/devices/%s/desired" % board.id, {"v0": 1})
    board.run(6)
    board.settle()
    assert done == [1], done
    pin = prepare.ask("GET", "/devices/%s/state" % board.id)
    text = json.dumps(pin)
    assert '"done"' in text, text
    assert prepare.history(board.id, "v0") == [1], prepare.history(board.id, "v0")
    # The board changes it by itself; the wish stays answered and nothing switches.
    board.device.set_pin("v0", 0)
    board.settle()
    board.run(12)
    assert done == [1]
    # The clock of this test runs faster than the server's, which the board corrects: only the values are looked at.
    found = prepare.history(board.id, "v0")
    assert sorted(found) == [0, 1], found


def test_a_wish_that_fails_stays_open():
    board = Board("stuck")
    works = []

    def handler(value):
        if not works:
            raise ValueError("the relay is stuck")

    board.device.on_pin("v0", handler)
    prepare.ask("PUT", "/devices/%s/desired" % board.id, {"v0": True})
    board.run(12)
    assert '"pending"' in json.dumps(prepare.ask("GET", "/devices/%s/state" % board.id))
    assert any("stuck" in line for line in board.said)
    works.append(1)
    board.run(6)
    board.settle()
    assert '"done"' in json.dumps(prepare.ask("GET", "/devices/%s/state" % board.id))


def test_commands_are_done_once_and_answered():
    board = Board("commands")
    done = []

    def handler(name, params):
        done.append((name, params))
        if name == "fail":
            raise ValueError("no luck")
        return {"double": params["n"] * 2}

    board.device.on_command(handler)
    one = prepare.ask("POST", "/devices/%s/commands" % board.id, {"name": "double", "params": {"n": 21}})["id"]
    two = prepare.ask("POST", "/devices/%s/commands" % board.id, {"name": "fail"})["id"]
    board.run(20)
    assert done == [("double", {"n": 21}), ("fail", {})], done
    found = {c["id"]: c for c in prepare.ask("GET", "/devices/%s/commands" % board.id)}
    assert found[one]["status"] == "done" and found[one]["result"] == {"double": 42}, found
    assert found[two]["status"] == "failed" and found[two]["error"] == "no luck", found


def test_a_wrong_token_is_said_and_not_hammered():
    board = Board("wrong", token="f" * 32)
    asked = []
    inside = board.device.http.request
    board.device.http.request = lambda *args: asked.append(args[1]) or inside(*args)
    board.device.send({"n": 1})
    board.run(600, 5000)
    assert len(asked) == 1, asked
    assert board.device.state == REFUSED
    assert "token" in board.said[-1] and "f" * 32 not in "".join(board.said)
    board.run(400, 5000)
    assert len(asked) == 2, asked
    assert prepare.history(board.id, "n") == []


def test_it_gives_signs_of_life():
    board = Board("alive", firmware=("My_Plug", "1.2.3"))
    board.run(3)
    device = prepare.ask("GET", "/devices/%s" % board.id)
    assert device["status"] == "online" and device["facts"]["firmware_version"] == "1.2.3", device


def test_what_cannot_be_right_is_refused_at_once():
    for server, device, token in (
        ("192.168.1.1", "d", "t"),
        ("http://", "d", "t"),
        ("http://a:0", "d", "t"),
        ("http://a/b", "d", "t"),
        ("https://a", "d", "t"),
        ("http://a", "", "t"),
        ("http://a", "a/b", "t"),
        ("http://a", "d", "a\r\nX: y"),
    ):
        try:
            Device(server, device, token)
        except ValueError:
            continue
        raise AssertionError((server, device, token))
