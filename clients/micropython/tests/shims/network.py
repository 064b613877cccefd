"""A radio that connects when tests let it, and that may be as moody as a real one."""

STA_IF = 0
reachable = True
attempts = []
# Calls that raise: "active", "connect", "disconnect", "isconnected".
moody = []


def _mood(call):
    if call in moody:
        raise OSError("Wifi Internal Error")


class WLAN:
    def __init__(self, interface):
        self._on = False
        self._connected = self._trying = False

    def active(self, on=None):
        _mood("active")
        if on is not None:
            self._on = on
        return self._on

    def connect(self, name, password):
        _mood("connect")
        attempts.append((name, password))
        if not self._on:
            raise OSError("the radio is off")
        if self._trying:
            raise OSError("Wifi Internal State Error")
        self._trying = not reachable
        self._connected = True

    def disconnect(self):
        _mood("disconnect")
        self._connected = self._trying = False

    def isconnected(self):
        _mood("isconnected")
        return self._connected and reachable

    def ifconfig(self):
        return ("192.168.1.50", "255.255.255.0", "192.168.1.1", "192.168.1.1")

    def status(self, what):
        return -57
