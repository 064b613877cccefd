"""boot.py and app.py as they are, with the shims of the board's parts and the real server."""

import json
import sys
import time

import prepare

sys.path.insert(0, "/app")
import config

import machine
import network


def test_the_app_reports_obeys_and_answers():
    config.DEVICE, config.TOKEN = prepare.new_device("app")
    config.SERVER = prepare.board
    import boot

    assert boot.wifi.keep() and (config.WIFI_NAME, config.WIFI_PASSWORD) in network.attempts
    import app as module

    clock = prepare.Clock()
    app = module.App(ticks=clock)

    def run(seconds):
        for _ in range(seconds * 5):
            app.turn()
            clock.now += 200

    run(3)
    found = prepare.history(config.DEVICE, "uptime")
    assert len(found) == 1, (found, app.device.state)
    prepare.ask("PUT", "/devices/%s/desired" % config.DEVICE, {"v0": 1})
    command = prepare.ask("POST", "/devices/%s/commands" % config.DEVICE, {"name": "interval", "params": {"seconds": 2}})["id"]
    run(8)
    assert machine.Pin.all[config.LED_PIN] == 1, machine.Pin.all
    assert '"done"' in json.dumps(prepare.ask("GET", "/devices/%s/state" % config.DEVICE))
    found = prepare.ask("GET", "/devices/%s/commands" % config.DEVICE)
    assert [(c["id"], c["status"]) for c in found] == [(command, "done")], found
    run(10)
    assert len(prepare.history(config.DEVICE, "uptime")) >= 5


def test_a_lost_network_is_tried_again_with_pauses():
    from espalier.wifi import Wifi

    clock = prepare.Clock()
    said = []
    wifi = Wifi("net", "word", log=said.append, ticks=clock)
    assert not wifi.keep() and wifi.keep()
    network.reachable = False
    try:
        del network.attempts[:]
        for _ in range(6000):
            assert not wifi.keep()
            clock.now += 100
        assert 5 <= len(network.attempts) <= 12, len(network.attempts)
        assert "lost" in said[1]
    finally:
        network.reachable = True
    assert wifi.keep()
    assert time.ticks_diff(clock(), 0) > 600000


def test_a_radio_that_raises_is_asked_again():
    from espalier.wifi import Wifi

    for call in ("active", "connect", "disconnect", "isconnected"):
        clock = prepare.Clock()
        said = []
        network.moody.append(call)
        try:
            wifi = Wifi("net", "s3cret", log=said.append, ticks=clock)
            for _ in range(600):
                wifi.keep()
                clock.now += 100
        finally:
            network.moody.clear()
        assert call == "disconnect" or any("Internal Error" in line for line in said), (call, said)
        assert "s3cret" not in "".join(said)
        for _ in range(3000):
            clock.now += 100
            if wifi.keep():
                break
        assert wifi.keep(), call


def test_boot_lets_no_exception_out():
    import sys

    for broken in ("config", "espalier.wifi"):
        module = sys.modules.pop(broken)

        class Nothing:
            pass

        # A module without what boot.py wants of it, as after a file was cut off.
        sys.modules[broken] = Nothing()
        sys.modules.pop("boot", None)
        try:
            import boot

            assert boot.wifi is None
        finally:
            sys.modules[broken] = module
            sys.modules.pop("boot", None)
