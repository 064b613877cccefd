"""Wi-Fi that comes back: an attempt has 15 s, pauses grow from 2 s to 2 min, and a router that restarts needs nobody's help."""

import time


class Wifi:
    """One network. Call `keep()` often; it never waits."""

    def __init__(self, name, password, log=print, ticks=time.ticks_ms):
        import network

        self._wlan = network.WLAN(network.STA_IF)
        self._name, self._password = name, password
        self._log, self._ticks = log, ticks
        self._until = ticks()
        self._pause = 2000
        self._trying = False
        self._was = False

    def keep(self):
        """Whether the board is connected; begins an attempt when it is not and one is due."""
        try:
            return self._keep(self._ticks())
        except (OSError, RuntimeError) as error:
            # What radios raise when they are out of memory or in the wrong state; it passes.
            self._log("Wi-Fi: %s" % error)
            return False

    def _keep(self, now):
        if self._wlan.isconnected():
            if not self._was:
                self._log("Wi-Fi: connected, address %s" % self._wlan.ifconfig()[0])
            self._was, self._trying, self._pause, self._until = True, False, 2000, now
            return True
        if self._was:
            self._log("Wi-Fi: the connection is lost; trying again")
            self._was = False
        if time.ticks_diff(now, self._until) < 0:
            return False
        if self._trying:
            self._trying = False
            self._until = time.ticks_add(now, self._pause)
            self._pause = min(self._pause * 2, 120000)
            self._log("Wi-Fi: not connected; name and password right? Trying again after a pause")
        else:
            self._trying = True
            self._until = time.ticks_add(now, 15000)
            self._wlan.active(True)
            self._hang_up()
            self._wlan.connect(self._name, self._password)
        return False

    def _hang_up(self):
        """Ends an attempt that still goes on: some radios refuse to begin one beside it."""
        try:
            self._wlan.disconnect()
        except (OSError, RuntimeError):
            pass

    def wait(self, timeout_s=15):
        """Waits for the connection, for boot.py; False when it does not come in time."""
        end = time.ticks_add(self._ticks(), timeout_s * 1000)
        while not self.keep():
            if time.ticks_diff(end, self._ticks()) <= 0:
                return False
            time.sleep_ms(100)
        return True
