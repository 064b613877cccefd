"""Whatever goes wrong, `step()` returns, says it, and the rest goes on: memory that runs out, answers that are none or far too large,
a network that goes in the middle, flash that is full. Against the real server where it can be made to happen there."""

import prepare
from bench import Board
from espalier import Cache, Device, OFFLINE, ONLINE, REFUSED
from espalier.http import HttpError


def answer(status, body, headers=b""):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


class Wire:
    """A connection to a server in memory: `say(path)` makes the bytes that come back."""

    def __init__(self, say):
        self.say = say
        self.data = b""

    def write(self, data):
        self.data = self.say(bytes(data).split(b" ")[1].decode())
        return len(data)

    def read(self, count):
        piece, self.data = self.data[:count], self.data[count:]
        return piece

    def readline(self, most):
        return self.read(min(self.data.find(b"\n") + 1 or len(self.data), most))

    def close(self):
        pass


class Desk:
    """A device at a server in memory."""

    def __init__(self, **options):
        self.clock = prepare.Clock()
        self.said = []
        self.asked = []
        self.began = self.clock.now
        self.answers = {"/telemetry/latest": self.latest, "/devices/d/telemetry": answer(200, b'{"accepted":1}')}
        self.device = Device("http://host", "d", "s3cret", log=self.said.append, ticks=self.clock, beat_s=0, **options)
        self.device.http._connect = self._connect

    def latest(self):
        return answer(200, b'{"time":%d,"desired":{}}' % (1800000000000 + self.clock.now - self.began))

    def _connect(self):
        self.device.http._socket = Wire(self._say)

    def _say(self, path):
        self.asked.append(path)
        found = self.answers.get(path, answer(404, b"{}"))
        return found() if callable(found) else found

    def run(self, seconds, step_ms=200):
        end = self.clock.now + seconds * 1000
        while self.clock.now < end:
            before = len(self.asked)
            self.device.step()
            # A kept connection is tried twice.
            assert len(self.asked) - before <= 2
            self.clock.now += step_ms
        assert not any("s3cret" in line for line in self.said)


def memory_error():
    raise MemoryError("memory allocation failed, allocating 4096 bytes")


def test_answers_far_larger_than_memory_for_them_are_understood():
    board = Board("large", commands_s=0)
    done = []
    board.device.on_pin("v0", done.append)
    prepare.fill_latest(board)
    assert prepare.call("fill", "PUT", "/devices/%s/desired" % board.id, "{", ',"v0":1}', 200, 500, None) == 200
    board.device.send({"n": 1})
    board.run(2)
    board.settle()
    assert done == [1] and board.device.failures == 0, board.said
    assert prepare.history(board.id, "n") == [1]


def test_commands_that_are_more_than_fit_an_answer_are_all_done():
    board = Board("large-commands")
    done = []
    board.device.on_command(lambda name, params: done.append(params.get("n")))
    path = "/devices/%s/commands" % board.id
    for n in range(30):
        prepare.ask("POST", path, {"name": "small", "params": {"n": n, "text": "z" * 500}})
    for _ in range(400):
        board.device.step()
        board.clock.now += 200
    assert done == list(range(30)), done
    assert all(c["status"] == "done" for c in prepare.ask("GET", path))


def test_a_command_that_is_too_large_is_refused_and_the_others_done():
    desk = Desk(commands_s=5)
    done = []
    desk.device.on_command(lambda name, params: done.append(name))
    one = '{"id":"%s","name":"%s","params":{"text":"%s"},"expires_at":1}'
    # A server without a bound.
    commands = one % ("a", "big", "z" * 9000) + "," + one % ("b", "small", "z")
    desk.answers["/devices/d/commands/pending"] = answer(200, ('{"commands":[%s]}' % commands).encode())
    results = ["/devices/d/commands/%s/result" % name for name in "ab"]
    for path in results:
        desk.answers[path] = answer(200, b"{}")
    desk.run(4)
    assert done == ["small"] and all(path in desk.asked for path in results), desk.asked


def test_a_result_that_is_no_json_is_told_without_it():
    board = Board("odd-result")
    done = []
    results = {"nan": float("nan"), "huge": "x" * 20000, "object": object()}

    def handler(name, params):
        done.append(name)
        return results[name]

    board.device.on_command(handler)
    path = "/devices/%s/commands" % board.id
    ids = [prepare.ask("POST", path, {"name": name})["id"] for name in ("nan", "huge", "object")]
    board.run(40)
    found = {c["id"]: c for c in prepare.ask("GET", path)}
    assert sorted(done) == ["huge", "nan", "object"]
    assert [found[one]["status"] for one in ids] == ["failed"] * 3, found
    assert "too large" in found[ids[1]]["error"] and "did not take" in found[ids[0]]["error"]


def test_each_step_sends_one_request_also_when_a_batch_is_refused():
    board = Board("apart")
    board.device.send({"n": -1})
    board.settle()
    asked = []
    inside = board.device.http.request
    board.device.http.request = lambda *args: asked.append(args[1]) or inside(*args)
    for n in range(20):
        board.device.send({"n": n})
        if n % 5 == 0:
            board.device.cache.add('{"ts":7,"data":{"n":99}}')
    board.device.set_pin("v0", 1)
    for _ in range(200):
        before = len(asked)
        board.device.step()
        assert len(asked) <= before + 1
        board.clock.now += 200
    assert board.device.settled() and board.device.refused_samples == 4
    assert prepare.history(board.id, "n") == list(range(-1, 20))
    assert prepare.history(board.id, "v0") == [1]


def test_a_network_that_goes_in_the_middle_of_an_answer_costs_nothing():
    for where in ("_head", "_copy", "_send"):
        board = Board("middle")
        board.run(1)
        board.device.send({"n": 1})
        http = board.device.http
        inside = getattr(http, where)

        def cut(*args):
            setattr(http, where, inside)
            prepare.call("unplug")
            return inside(*args)

        setattr(http, where, cut)
        try:
            board.run(20)
            assert board.device.state == OFFLINE and board.device.failures == 0, (where, board.said)
        finally:
            prepare.call("plug")
        board.settle()
        assert prepare.history(board.id, "n") == [1], where


def test_memory_that_runs_out_is_said_and_tried_again():
    for path in ("/telemetry/latest", "/devices/d/telemetry"):
        desk = Desk()
        good = desk.answers[path]
        desk.answers[path] = memory_error
        desk.device.send({"n": 1})
        desk.run(300)
        errors = [line for line in desk.said if "MemoryError" in line and "samples are kept" in line]
        assert 4 < len(errors) < 12 and not desk.device.settled(), desk.said
        # Where everything else goes well the board need not restart.
        assert (desk.device.failures > 3) == (path == "/telemetry/latest")
        desk.answers[path] = good
        desk.run(300)
        assert desk.device.settled() and desk.device.failures == 0 and desk.device.state == ONLINE


def test_a_question_that_always_fails_does_not_keep_the_samples():
    for bad in (memory_error, answer(200, b"<html>"), answer(200, b'{"time":')):
        desk = Desk()
        desk.run(1)
        desk.answers["/telemetry/latest"] = bad
        for n in range(20):
            desk.device.send({"n": n})
            desk.run(60)
        assert desk.device.cache.empty(), (bad, desk.said)
    desk = Desk()
    desk.device.on_command(lambda name, params: None)
    desk.answers["/devices/d/commands/pending"] = memory_error
    for n in range(20):
        desk.device.send({"n": n})
        desk.run(60)
    assert desk.device.cache.empty() and "MemoryError" in desk.said[-1] or "online" in desk.said[-1], desk.said


def test_a_batch_that_is_too_much_for_memory_is_sent_in_smaller_ones():
    desk = Desk()
    desk.run(1)
    for n in range(30):
        desk.device.send({"n": n})
    inside = desk.device._post_samples
    sizes = []

    def post(lines, reports):
        sizes.append(len(lines))
        if len(lines) > 5:
            raise MemoryError()
        return inside(lines, reports)

    desk.device._post_samples = post
    desk.run(300)
    assert desk.device.settled() and sizes[0] == 30 and sizes[1:4] == [1, 2, 4], sizes


def test_no_answer_whatever_lets_an_exception_out():
    bodies = (
        b"", b"{", b"[]", b"7", b"null", b"<html>hotel</html>", b'{"time":"x"}', b'{"time":-1,"desired":[]}', b'{"time":1e99}', b'{"time":true,"desired":{"v0":1}}',
        b'{"time":' + b"9" * 5000 + b"}", b'{"time":1800000000000,"desired":{"v0":{"value":1,"version":"x"}}}', b'{"time":1800000000000,"desired":{"v0":{"value":' + b"[" * 3000 + b"}}}",
        b'{"commands":{}}', b'{"commands":[7,null,{},{"id":7},{"id":"../x","name":"a"},{"id":"a"}]}', b'{"accepted":', b"\xff\xfe\x00", b'{"time":1800000000000,"desired":{"v0":{"value":"' + b"v" * 9000 + b'","version":1}}}',
    )
    for body in bodies:
        desk = Desk()
        desk.device.on_pin("v0", lambda value: None)
        desk.device.on_command(lambda name, params: None)
        for path in ("/telemetry/latest", "/devices/d/telemetry", "/devices/d/commands/pending"):
            desk.answers[path] = answer(200, body)
        desk.device.send({"n": 1})
        desk.run(100, 1000)
        assert not desk.device.settled(), body
        for status in (200, 204, 400, 418, 500, 599):
            desk.answers["/telemetry/latest"] = answer(status, body)
            desk.run(100, 1000)
        desk.answers["/telemetry/latest"] = desk.latest
        desk.answers["/devices/d/telemetry"] = answer(200, b'{"accepted":1}')
        desk.run(600, 1000)
        assert desk.device.cache.empty(), body


def test_refusals_and_waits_are_as_long_as_they_must_be():
    for status in (401, 403, 404):
        desk = Desk()
        desk.answers["/telemetry/latest"] = answer(status, b"{}")
        desk.run(16 * 3600, 5000)
        # After 15 and 30 minutes, 1, 2 and 4 hours, each up to a quarter earlier, and then every 4 hours.
        assert desk.device.state == REFUSED and 6 <= len(desk.asked) <= 9, len(desk.asked)
    for status in (429, 500, 503):
        desk = Desk()
        desk.answers["/telemetry/latest"] = answer(status, b"{}", b"Retry-After: 90\r\n")
        desk.run(89)
        assert len(desk.asked) == 1 and desk.device.state == OFFLINE
        desk.run(3)
        assert len(desk.asked) == 2
    for odd in (b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", b"Retry-After: -5\r\n", b"Retry-After: 99999999999999999999\r\n"):
        desk = Desk()
        desk.answers["/telemetry/latest"] = answer(503, b"{}", odd)
        desk.run(60)
        assert len(desk.asked) > 3


def test_a_redirect_is_not_followed_and_not_hammered():
    desk = Desk()
    desk.answers["/telemetry/latest"] = answer(302, b"", b"Location: http://elsewhere/\r\n")
    desk.run(60)
    assert set(desk.asked) == {"/telemetry/latest"} and len(desk.asked) < 10 and desk.device.state == OFFLINE


def test_an_uptime_that_wraps_around_changes_nothing():
    desk = Desk()
    desk.clock.now = prepare.LAST_TICK - 30000
    desk.device._last_tick = desk.clock()
    desk.began = desk.clock.now
    desk.run(1)
    difference = desk.device.utc_ms() - desk.clock.now
    for _ in range(60):
        asked = len(desk.asked)
        desk.device.send({"n": 1})
        desk.run(6)
        assert 2 <= len(desk.asked) - asked <= 3 and desk.device.settled(), desk.asked
        assert desk.device.utc_ms() - desk.clock.now == difference
    assert desk.clock.now > prepare.LAST_TICK
    assert desk.device.uptime_s() == (desk.clock.now - desk.began) // 1000


def test_flash_that_is_full_or_broken_keeps_the_newest_samples_in_memory():
    from flash import Flash

    for name, change in (("full", {"room": 100}), ("broken", {"fail_from": 1})):
        flash = Flash().use("/device-" + name)
        for key, value in change.items():
            setattr(flash, key, value)
        desk = Desk(cache=Cache("/device-%s/x" % name, max_ram=8))
        desk.answers["/devices/d/telemetry"] = answer(503, b"{}")
        for n in range(200):
            desk.device.send({"n": n})
            desk.run(1)
        assert desk.device.cache.lost > 100
        desk.answers["/devices/d/telemetry"] = answer(200, b'{"accepted":1}')
        desk.run(200)
        assert desk.device.settled(), desk.said


def test_a_sample_that_is_too_large_is_not_taken():
    desk = Desk()
    assert not desk.device.send({"text": "x" * 9000}) and not desk.device.set_pin("v0", "x" * 9000)
    assert desk.device.send({"text": "x" * 4096})
    desk.run(5)
    assert desk.device.settled()


def test_a_connection_is_not_used_again_after_memory_ran_out_in_the_middle_of_an_answer():
    desk = Desk()
    desk.run(1)
    http = desk.device.http
    assert http._socket is not None
    http._copy = lambda count, put: memory_error()
    desk.clock.now += 5000
    desk.device.step()
    assert http._socket is None and desk.device.failures == 1
    del http._copy
    try:
        http.request("GET", "/none")
    except HttpError:
        raise AssertionError("a new connection must be made")
