"""A radio that connects when tests let it."""

STA_IF = 0
reachable = True
attempts = []


class WLAN:
    def __init__(self, interface):
        self._on = False
        self._connected = False

    def active(self, on=None):
        if on is not None:
            self._on = on
        return self._on

    def connect(self, name, password):
        attempts.append((name, password))
        if not self._on:
            raise OSError("the radio is off")
        self._connected = True

    def isconnected(self):
        return self._connected and reachable

    def ifconfig(self):
        return ("192.168.1.50", "255.255.255.0", "192.168.1.1", "192.168.1.1")

    def status(self, what):
        return -57
