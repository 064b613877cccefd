"""One device and its server: what is sent when, what happens when it does not arrive, and what the answers mean.

`step()` sends at most one request, and whatever goes wrong in it, it returns: a board runs on its own for years. Times are whole
milliseconds everywhere: floats of a board have 32 bits and cannot hold them.
"""

import gc
import json
import os
import time

from .cache import Cache, MAX_LINE
from .http import Http, HttpError
from .sieve import Sieve

OFFLINE = "offline"
ONLINE = "online"
# The server does not know this device or its token.
REFUSED = "refused"

_KEY = "_.:-/ "
_STRANGE = "what answers is not understood; is it this server?"
# Statuses that speak of one request, so that others may go well.
_ABOUT = (400, 404, 409, 413, 422)
# Samples of one request.
_BATCH = 40


def is_key(key):
    """Whether the server takes it as a key of a value."""
    if not isinstance(key, str) or not 0 < len(key) <= 128 or key[0] == "_":
        return False
    return all("0" <= c <= "9" or "a" <= c <= "z" or "A" <= c <= "Z" or c in _KEY for c in key)


def is_value(value):
    """Whether the server takes it as a value: no None, NaN or infinity, whole numbers up to 2**53."""
    if isinstance(value, (bool, str, dict, list)):
        return True
    if isinstance(value, int):
        return -(1 << 53) <= value <= 1 << 53
    return isinstance(value, float) and value - value == 0


def _random(below):
    return int.from_bytes(os.urandom(3), "little") % below if below > 0 else 0


class _Backoff:
    """Waiting times that double from attempt to attempt, each up to a quarter shorter by chance; milliseconds."""

    def __init__(self, first, most):
        self._first = self._next = first
        self._most = most

    def reset(self):
        self._next = self._first

    def next(self):
        wait = self._next
        self._next = min(self._most, wait * 2)
        return wait - _random(wait // 4)


class _Strange(Exception):
    """An answer that is not this server's."""


def _load(text):
    """JSON of a part that was kept, or None."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _id_of(text):
    """The id at the beginning of a command that was cut off, or None."""
    start = text.find(b'"id":"')
    end = text.find(b'"', start + 6)
    return text[start + 6 : end].decode() if 0 <= start < end else None


class Device:
    """`server`: `http://host:8000`, or `https://host` with `ca`. `firmware`: (type, version), shown in the app.

    `poll_s`, `commands_s`, `beat_s`: seconds between questions for wishes, for commands, and signs of life; 0: never.
    `log` takes sentences for people; the token is never in one. `ticks` is a clock of milliseconds that may wrap at 2**30.
    """

    def __init__(
        self,
        server,
        device,
        token,
        cache=None,
        ca=None,
        firmware=None,
        poll_s=5,
        commands_s=5,
        beat_s=60,
        log=print,
        ticks=time.ticks_ms,
    ):
        for name, text in (("device id", device), ("token", token)):
            if not text or any(c <= " " or c >= "\x7f" or c in "/?#%\"\\" for c in text):
                raise ValueError("the %s is empty or holds a wrong character" % name)
        self.http = Http(server, token, ca)
        self.cache = cache or Cache()
        self.state = OFFLINE
        self.refused_samples = 0
        self.failures = 0  # steps in a row that ended with an error of the board itself, as when memory runs out
        self._id = device
        self._firmware = firmware
        self._log = log
        self._ticks = ticks
        self._last_tick = ticks()
        self._now = 0
        self._offset = None  # UTC minus uptime
        self._last_ts = 0
        self._undated = []
        self._not_before = 0
        self._backoff = _Backoff(1000, 60000)
        self._refusals = _Backoff(900000, 14400000)
        self._every = {"poll": poll_s * 1000, "commands": commands_s * 1000, "beat": beat_s * 1000}
        self._at = {"poll": 0, "commands": 0, "beat": 0}
        self._pins = {}
        self._reports = {}
        self._done = {}
        self._on_command = None
        self._outcomes = []  # [id, body, waits to be told]
        self._large = []  # keys of wishes that were said to be too large
        self._doing = "poll"  # what the present step does
        self._held = {}  # what the board itself could not do: [when it may be tried again, how long the next pause is]
        self._batch = _BATCH  # fewer after memory ran out
        self._apart = 0  # samples to be sent alone, because the server refused them together
        self._reports_apart = False

    # What a program calls.

    def send(self, values):
        """Queues one sample with the time of now. What is no key or value is left out; False when nothing is left, or too much."""
        data = {key: value for key, value in values.items() if is_key(key) and is_value(value)}
        return bool(data) and self._stamp(data)

    def on_pin(self, key, handler):
        """Registers what does wishes for `v0`, … or any other key: handler(value). A result of False means that it could not."""
        self._pins[key] = handler

    def set_pin(self, key, value):
        """Reports a pin that the board changed by itself; it answers no wish."""
        if not (is_key(key) and is_value(value)):
            return False
        if not self._stamp({key: value}):
            return False
        self._reports[key] = {"value": value, "version": 0}
        return True

    def on_command(self, handler):
        """Registers what does commands: handler(name, params) returns a JSON value or None; an exception means failure."""
        self._on_command = handler

    def settled(self):
        """Whether nothing waits to be sent."""
        return self.cache.empty() and not self._undated and not self._reports and not any(o[2] for o in self._outcomes)

    def utc_ms(self):
        """Milliseconds since 1970 as the server told, or None."""
        self._tick()
        return None if self._offset is None else self._now + self._offset

    def uptime_s(self):
        """Whole seconds since this object was made. It goes on where `ticks` wraps, if it is stepped at least once a week."""
        self._tick()
        return self._now // 1000

    def step(self, network=True):
        """Does the one thing that is due. `network`: whether there is one at all."""
        self._tick()
        if not network:
            self.http.close()
            if self.state == ONLINE:
                self.state = OFFLINE
            return
        if self._now < self._not_before:
            return
        try:
            self._work()
        except HttpError as error:
            self._offline(str(error), 0)
        except _Strange:
            self._offline(_STRANGE, 0)
            self._hold()
        except Exception as error:
            self._failed(error)

    def save(self):
        """Before deep sleep or a restart: moves the samples that have a time to the files; False when some stay behind."""
        return self.cache.save() and not self._undated

    # Time.

    def _tick(self):
        tick = self._ticks()
        passed = time.ticks_diff(tick, self._last_tick)
        if passed > 0:
            self._now += passed
            self._last_tick = tick

    def _stamp(self, data):
        self._tick()
        ts = self._now + (self._offset or 0)
        ts = max(ts, self._last_ts + 1)
        line = json.dumps({"ts": ts, "data": data})
        # A sample without a time gets 6 digits more when it gets one.
        if len(line) > MAX_LINE - 16:
            return False
        self._last_ts = ts
        if self._offset is None:
            self._undated.append((ts, data))
            if len(self._undated) > 32:
                self._undated.pop(0)
                self.cache.lost += 1
        else:
            self.cache.add(line)
        return True

    def _learn(self, offset):
        if self._offset is None:
            self._offset = offset
            self._last_ts += offset
        elif abs(offset - self._offset) >= 2000:
            if offset < self._offset:
                self._last_ts = 0
            self._offset = offset
        while self._undated:
            # Once, so that a sample that is sent twice has the same time twice.
            ts, data = self._undated[0]
            self.cache.add(json.dumps({"ts": ts + self._offset, "data": data}))
            self._undated.pop(0)

    # Requests.

    def _may(self, what, wanted):
        """Whether to do it now, because it is wanted and not held."""
        held = self._held.get(what)
        if not wanted or (held and self._now < held[0]):
            return False
        self._doing = what
        return True

    def _due(self, what, every):
        """Whether so much time has passed; it counts anew from now."""
        if every <= 0 or self._now < self._at[what] or not self._may(what, True):
            return False
        self._at[what] = self._now + every
        return True

    def _work(self):
        # Without the time there are no samples to send, so it is asked also when wishes are not.
        every = self._every["poll"] or (60000 if self._offset is None else 0)
        if self._due("poll", every):
            self._ask_state()
        elif self._may("post", self._reports or not self.cache.empty()):
            self._post()
        elif self._may("answer", any(outcome[2] for outcome in self._outcomes)):
            self._answer()
        elif self._on_command and self._due("commands", self._every["commands"]):
            self._ask_commands()
        elif self._due("beat", self._every["beat"]):
            self._beat()

    def _ask(self, method, path, value=None, member=None, wanted=None):
        """Sends a request and draws the conclusions that hold for all; returns (status, parts of the answer). `member`: what an answer
        has; `wanted(name, key)`: what is kept of it beside that. A text is sent as it is."""
        # Garbage that is collected late leaves a heap full of small gaps, where no request finds its place any more.
        gc.collect()
        text = value if value is None or isinstance(value, str) else json.dumps(value)
        sieve = Sieve(lambda name, key: (name == member and key is None) or (wanted and wanted(name, key)), ("desired", "commands"))
        status, headers, _ = self.http.request(method, path, text, (), sieve)
        self._tick()
        if status == 200 and not (sieve.whole() and (member is None or member in sieve.names)):
            # A page of a hotel's network also answers 200.
            self.http.close()
            raise _Strange()
        if status in (401, 403):
            self._refuse(status)
        elif 200 <= status < 300 or status == 304:
            if self.state != ONLINE:
                self._log("Espalier: online")
            self.state = ONLINE
            self.failures = 0
            self._held.pop(self._doing, None)
            self._backoff.reset()
            self._refusals.reset()
        elif status not in _ABOUT:
            text = headers.get("retry-after", "")
            wait = min(int(text), 86400) if text.isdigit() and len(text) < 10 else 0
            self._offline("the server cannot answer now (%d)" % status, wait * 1000)
        return status, sieve.found

    def _failed(self, error):
        """The board itself could not: memory ran out, most often."""
        self.http.close()
        gc.collect()
        self.failures += 1
        self._batch = 1
        self._tick()
        self._not_before = self._now + 1000
        wait = self._hold()
        why = ("%s: %s" % (type(error).__name__, error)).replace(self.http.token or "\0", "***")
        self._log("Espalier: %s; next attempt in %d s, samples are kept" % (why, (wait + 999) // 1000))

    def _hold(self):
        """What always fails, an answer that is too much for one, must not keep everything else from being sent; so it alone waits."""
        wait = self._held.get(self._doing, (0, 1000))[1]
        self._held[self._doing] = (self._now + wait, min(wait * 2, 300000))
        return wait

    def _offline(self, why, least):
        self._tick()
        wait = max(self._backoff.next(), least + _random(1000) if least else 0)
        self._not_before = self._now + wait
        self.state = OFFLINE
        self._log("Espalier: %s; next attempt in %d s, samples are kept" % (why, (wait + 999) // 1000))

    def _refuse(self, status):
        wait = self._refusals.next()
        self._not_before = self._now + wait
        self.state = REFUSED
        self.http.close()
        self._log(
            "Espalier: the server does not accept this device's token (%d); check the device id and the token. Next attempt in %d min"
            % (status, wait // 60000)
        )

    def _ask_state(self):
        asked = self._now
        status, found = self._ask("GET", "/telemetry/latest", None, "time", lambda name, key: name == "desired" and key in self._pins)
        if status == 404:
            return self._refuse(status)
        if status != 200:
            return
        desired = {}
        for name, key, text, whole in found:
            if name == "time":
                now = _load(text) if whole else None
                if isinstance(now, int) and 0 < now < 1 << 53:
                    self._learn(now - (asked + self._now) // 2)
            elif whole:
                desired[key] = _load(text)
            elif key not in self._large:
                self._large.append(key)
                self._log("Espalier: what the app wants of %s is too large for this board" % key)
        self._obey(desired)

    def _obey(self, desired):
        changed = {}
        for key, wish in desired.items():
            handler = self._pins.get(key)
            version = wish.get("version") if isinstance(wish, dict) else None
            if handler is None or not isinstance(version, int) or version < 1 or "value" not in wish:
                continue
            value = wish["value"]
            if self._done.get(key, (0, None))[0] == version:
                # Done before, but the answer has not arrived. What the board did since stays.
                if key not in self._reports:
                    self._reports[key] = {"value": self._done[key][1], "version": version}
                continue
            try:
                done = handler(value) is not False
            except Exception as error:
                self._log("Espalier: %s could not be set: %s" % (key, error))
                done = False
            if done:
                self._done[key] = (version, value)
                self._reports[key] = {"value": value, "version": version}
                changed[key] = value
        self.send(changed)

    def _path(self, end):
        return "/devices/%s/%s" % (self._id, end)

    def _post(self):
        """Sends reports and samples. When the server takes none of it, because of some, each goes alone, one with each step; what is
        refused alone is dropped."""
        reports = {} if self._apart and not self._reports_apart else dict(self._reports)
        lines = [] if self._reports_apart else self.cache.take(1 if self._apart else self._batch)
        if not lines and not reports:
            # Nothing is left of what should go alone.
            self._apart, self._reports_apart = 0, False
            return
        status = self._post_samples(lines, reports)
        if status == 404:
            return self._refuse(status)
        if status in _ABOUT and len(lines) + bool(reports) > 1:
            self._apart, self._reports_apart = len(lines), bool(reports)
            return
        if status != 200 and status not in _ABOUT:
            return
        if status == 200:
            self._batch = min(_BATCH, self._batch * 2)
        elif lines:
            self.refused_samples += 1
            self._log("Espalier: the server refused a sample; it is dropped")
        else:
            self._log("Espalier: the server did not take the state of a pin; it is not sent again")
        self._reported(reports)
        if lines:
            self.cache.delivered()
        if self._reports_apart:
            self._reports_apart = False
        elif self._apart:
            self._apart -= 1

    def _reported(self, reports):
        for key, report in reports.items():
            if self._reports.get(key) == report:
                del self._reports[key]

    def _post_samples(self, lines, reports):
        body = '{"samples":[' + ",".join(lines) + "]"
        if reports:
            body += ',"reported":' + json.dumps(reports)
        # Samples are forgotten only when the server itself says that it has them.
        return self._ask("POST", self._path("telemetry"), body + "}", "accepted")[0]

    def _ask_commands(self):
        status, found = self._ask("GET", self._path("commands/pending"), None, "commands", lambda name, key: name == "commands")
        if status == 404:
            return self._refuse(status)
        for _, _, text, whole in found if status == 200 else []:
            command = _load(text) if whole else {"id": _id_of(text)}
            if isinstance(command, dict):
                self._do(command, whole)

    def _do(self, command, whole=True):
        name, given = command.get("name"), command.get("id")
        if not isinstance(given, str) or not all("0" <= c <= "9" or "a" <= c <= "z" or "A" <= c <= "Z" or c in "-_" for c in given):
            return
        for outcome in self._outcomes:
            if outcome[0] == given:
                # It was done; the server did not hear of it.
                outcome[2] = True
                return
        known = [outcome for outcome in self._outcomes if not outcome[2]]
        if len(self._outcomes) >= 8:
            if not known:
                return
            self._outcomes.remove(known[0])
        body = {"ok": False, "error": "the command is too large for this board"}
        if whole:
            body = self._outcome(name, command.get("params") or {})
        self._outcomes.append([given, body, True])

    def _outcome(self, name, params):
        try:
            result = self._on_command(name, params)
            body = {"ok": True} if result is None else {"ok": True, "result": result}
            if len(json.dumps(body)) > MAX_LINE:
                return {"ok": False, "error": "the result is too large for this board"}
            return body
        except Exception as error:
            return {"ok": False, "error": str(error)[:400] or "it failed"}

    def _answer(self):
        for outcome in self._outcomes:
            if outcome[2]:
                status, _ = self._ask("POST", self._path("commands/%s/result" % outcome[0]), outcome[1])
                if status in (400, 413, 422) and outcome[1]["ok"]:
                    # What the handler returned is no JSON, NaN for one. That it was done must be told all the same.
                    outcome[1] = {"ok": False, "error": "it was done, and the server did not take its result"}
                elif status == 200 or status in _ABOUT:
                    outcome[2] = False
                return

    def _beat(self):
        body = {"uptime": self.uptime_s()}
        if hasattr(gc, "mem_free"):
            body["free_heap"] = gc.mem_free()
        if self._firmware:
            body["device_type"], body["version"] = self._firmware
        status, _ = self._ask("POST", "/api/devices/%s/heartbeat" % self._id, body)
        if status == 404:
            self._refuse(status)
