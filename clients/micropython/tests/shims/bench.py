"""A device at the real server, with a clock that tests move."""

import prepare
from espalier import Device, ONLINE


class Board:
    """A device with a clock that tests move."""

    def __init__(self, name, token=None, cache=None, access=None, server=None, **options):
        self.clock = prepare.Clock()
        self.said = []
        self.id, self.token = access or prepare.new_device(name)
        self.device = Device(server or prepare.board, self.id, token or self.token, cache=cache, log=self.said.append, ticks=self.clock, **options)

    def run(self, seconds, step_ms=200):
        end = self.clock.now + seconds * 1000
        while self.clock.now < end:
            self.device.step()
            self.clock.now += step_ms

    def settle(self):
        for _ in range(2000):
            if self.device.settled() and self.device.state == ONLINE:
                return
            self.device.step()
            self.clock.now += 200
        raise AssertionError("something still waits: %s" % self.said)
