"""What this build of MicroPython lacks and a board has, and what tests share: a clock that tests move, and a person at the server."""

import json
import os
import time

import _host

# Where boards find the server; set by run.mjs.
board = None


def call(name, *args):
    return json.loads(_host.call(name, json.dumps(args)))


if not hasattr(os, "urandom"):
    import random

    def _urandom(count):
        return bytes(random.getrandbits(8) for _ in range(count))

    os.urandom = _urandom


# The last tick before they wrap around; of boards 2**30 - 1.
LAST_TICK = time.ticks_add(0, -1)


class Clock:
    """Milliseconds that pass when a test says so, and wrap as those of a board."""

    def __init__(self):
        self.now = 1000

    def __call__(self):
        return self.now & LAST_TICK


def ask(method, path, body=None):
    """A person asks the server; returns the answer's JSON and insists on a 2xx."""
    answer = call("ask", method, path, None if body is None else json.dumps(body))
    assert 200 <= answer["status"] < 300, (method, path, answer)
    return answer["body"]


def new_device(name):
    device = ask("POST", "/devices", {"name": name})
    return device["id"], device["device_token"]


def fill_latest(board):
    """Gives a device so many long values that what the server knows of it, 1.3 MB, is more than the heap of these tests."""
    for part in "ab":
        before = '{"samples":[{"ts":1700000000000,"data":{"%s":1,' % (part * (1 + ord(part) % 2))
        assert call("fill", "POST", "/devices/%s/telemetry" % board.id, before, "}}]}", 200, 3300, board.token) == 200


def history(device, key):
    """Every stored value of a key, oldest first; the clock of a test may run ahead of the server's."""
    path = "/telemetry/history?device_id=%s&key=%s&from=2001-01-01T00:00:00Z&to=2099-01-01T00:00:00Z&format=series&limit=100000" % (device, key)
    return [point["value"] for point in ask("GET", path)["series"][0]["points"]]
