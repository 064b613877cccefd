"""main.py as it is: what it does when the app fails, hangs, or cannot even be made. Sleeping is a fake."""

import sys

import prepare

sys.path.insert(0, "/app")
import machine
import main


class Device:
    def __init__(self):
        self.failures = 0
        self.saved = 0

    def save(self):
        self.saved += 1


class App:
    def __init__(self):
        self.turns = 0
        self.device = Device()
        self.error = None

    def turn(self):
        self.turns += 1
        if self.error:
            raise self.error


class Bench:
    def __init__(self, make, secrets=()):
        machine.resets = 0
        self.slept = []
        self.said = []
        self.dog = main.watchdog(120)
        self.guard = main.Guard(make, self.dog, secrets, self.slept.append, self.said.append)

    def turn(self, count=1):
        del self.slept[:]
        for _ in range(count):
            self.guard.turn()
        return sum(self.slept)


def test_what_the_app_raises_is_said_and_tried_again_after_pauses_that_grow():
    app = App()
    bench = Bench(lambda: app)
    assert bench.turn(3) == 300 and not bench.said
    for error in (MemoryError("memory allocation failed"), ValueError("odd"), OSError(5), RuntimeError(), KeyError("v0")):
        app.error = error
        before = app.turns
        pause = bench.turn()
        assert app.turns == before + 1 and max(bench.slept) <= 1000
    assert pause == 16000 and len(bench.said) == 5 and "MemoryError" in bench.said[0], bench.said
    assert machine.resets == 0
    app.error = None
    assert bench.turn() == 100


def test_failures_in_a_row_restart_the_board_and_save_the_samples():
    app = App()
    bench = Bench(lambda: app)
    app.error = MemoryError()
    waited = bench.turn(main.FAILURES - 1)
    assert machine.resets == 0 and 100000 < waited < 200000, waited
    bench.turn()
    assert machine.resets == 1 and app.device.saved == 1 and "restarts" in bench.said[-1]


def test_failures_far_apart_do_not():
    app = App()
    bench = Bench(lambda: app)
    for _ in range(50):
        app.error = OSError(5)
        bench.turn()
        app.error = None
        bench.turn(main.CALM)
    assert machine.resets == 0 and len(bench.said) == 50
    # With less than a minute between them they are in a row.
    for _ in range(main.FAILURES):
        app.error = OSError(5)
        bench.turn()
        app.error = None
        bench.turn(main.CALM // 2)
    assert machine.resets == 1


def test_a_device_that_fails_inside_restarts_the_board_too():
    app = App()
    bench = Bench(lambda: app)
    app.device.failures = main.FAILURES - 1
    bench.turn()
    assert machine.resets == 0
    app.device.failures = main.FAILURES
    bench.turn()
    assert machine.resets == 1 and app.device.saved == 1


def test_an_app_that_cannot_be_made_is_made_later_or_the_board_restarts():
    tries = []

    def make():
        tries.append(1)
        if len(tries) < 3:
            raise ImportError("no module named 'espalier'")
        return App()

    bench = Bench(make)
    bench.turn(3)
    assert len(tries) == 3 and machine.resets == 0
    bench.turn(5)
    assert len(tries) == 3

    def never():
        raise OSError(2)

    bench = Bench(never)
    bench.turn(main.FAILURES)
    assert machine.resets == 1


def test_a_broken_save_does_not_stop_the_restart():
    app = App()

    def save():
        raise OSError(28)

    app.device.save = save
    bench = Bench(lambda: app)
    app.error = MemoryError()
    bench.turn(main.FAILURES)
    assert machine.resets == 1


def test_secrets_are_not_said():
    app = App()
    app.error = ValueError("the token abcdef is wrong for my-password")
    bench = Bench(lambda: app, ("abcdef", "my-password"))
    bench.turn()
    assert bench.said == ["main: ValueError: the token *** is wrong for ***"], bench.said


def test_the_watchdog_is_fed_at_least_every_second_and_only_where_it_waits_long_enough():
    app = App()
    bench = Bench(lambda: app)
    app.error = MemoryError()
    waited = bench.turn(7)
    assert bench.dog.fed >= waited // 1000 and bench.dog.timeout == 120000
    assert main.watchdog(0) is None
    machine.WDT.most = 8388
    try:
        assert main.watchdog(120) is None
    finally:
        machine.WDT.most = 1 << 30
    dog, machine.WDT = machine.WDT, None
    try:
        assert main.watchdog(120) is None
    finally:
        machine.WDT = dog


def test_the_whole_app_survives_a_config_that_is_wrong_and_runs_when_it_is_right():
    import config

    config.SERVER, config.DEVICE, config.TOKEN = "no server", "d", "t0ken"
    bench = Bench(main.make, (config.TOKEN,))
    bench.turn(2)
    assert "must look like" in bench.said[0] and "t0ken" not in "".join(bench.said)
    config.CA_FILE = "/no/such/file"
    bench.turn()
    assert "OSError" in bench.said[-1]
    config.CA_FILE = None
    config.DEVICE, config.TOKEN = prepare.new_device("guard")
    config.SERVER = prepare.board
    bench.turn(3)
    assert prepare.history(config.DEVICE, "uptime") and len(bench.said) == 3, bench.said
