"""Pins that remember what they were set to, restarts that are counted, and a watchdog that is asked when it was last fed."""

resets = 0


class Pin:
    OUT = 1
    all = {}

    def __init__(self, number, mode=None, value=0):
        self._number = number
        Pin.all[number] = value

    def value(self, value=None):
        if value is not None:
            Pin.all[self._number] = value
        return Pin.all[self._number]


class WDT:
    """`most`: milliseconds that the port's watchdog can wait; those of some chips wait 8 s at most."""

    most = 1 << 30

    def __init__(self, id=0, timeout=5000):
        if timeout > WDT.most:
            raise ValueError("timeout exceeds %d" % WDT.most)
        self.timeout = timeout
        self.fed = 0

    def feed(self):
        self.fed += 1


def reset():
    global resets
    resets += 1
