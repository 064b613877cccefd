"""The app that main.py keeps going: a board with an LED that people switch, a command, and what the board knows of itself as values."""

import gc
import time

import machine

import config
from espalier import Cache, Device
from espalier.wifi import Wifi


def authority():
    """The certificate of the server's authority, or None."""
    if not config.CA_FILE:
        return None
    with open(config.CA_FILE, "rb") as file:
        return file.read()


class App:
    """Everything of this board; `turn()` does one round and never waits."""

    def __init__(self, ticks=time.ticks_ms):
        self._ticks = ticks
        self._led = machine.Pin(config.LED_PIN, machine.Pin.OUT)
        self._wifi = Wifi(config.WIFI_NAME, config.WIFI_PASSWORD, ticks=ticks)
        self.device = Device(
            config.SERVER,
            config.DEVICE,
            config.TOKEN,
            cache=Cache("/samples"),
            ca=authority(),
            firmware=("MicroPython_App", "1.0.0"),
            ticks=ticks,
        )
        self.device.on_pin("v0", self._switch)
        self.device.on_command(self._command)
        self._interval = config.INTERVAL_S * 1000
        self._last = time.ticks_add(ticks(), -self._interval)

    def _switch(self, value):
        self._led.value(1 if value else 0)

    def _command(self, name, params):
        if name == "interval":
            seconds = params.get("seconds")
            if not isinstance(seconds, int) or not 1 <= seconds <= 3600:
                raise ValueError("seconds must be a whole number from 1 to 3600")
            self._interval = seconds * 1000
            return {"seconds": seconds}
        raise ValueError("this board knows the command interval")

    def turn(self):
        network = self._wifi.keep()
        if time.ticks_diff(self._ticks(), self._last) >= self._interval:
            self._last = self._ticks()
            self.device.send({"free_heap": gc.mem_free(), "uptime": self.device.uptime_s(), "v0": self._led.value()})
        self.device.step(network)
