"""Runs after boot.py and keeps the app (app.py) going: what goes wrong is said and tried again after a pause that grows; after eight
failures in a row the board restarts, and a watchdog restarts it when it hangs. Ctrl-C ends it.

It imports nothing of the app before it can catch what comes of that.
"""

import gc
import time

import machine

# Failures in a row before the board restarts: about three minutes of attempts.
FAILURES = 8
# Turns without a failure after which the earlier ones are forgotten: about a minute.
CALM = 600


def make():
    """The app of this board."""
    from app import App

    return App()


def settings():
    """config.py, or None when it cannot be read."""
    try:
        import config

        return config
    except Exception:
        return None


def watchdog(seconds):
    """What restarts a board that hangs; None where the port has none that waits so long (a request may take half a minute)."""
    try:
        return machine.WDT(timeout=seconds * 1000) if seconds else None
    except (AttributeError, TypeError, ValueError, OSError):
        return None


class Guard:
    """Makes the app with `make` and turns it; `turn()` lets no exception out."""

    def __init__(self, make, dog=None, secrets=(), sleep=time.sleep_ms, log=print):
        self._make, self._dog, self._secrets = make, dog, secrets
        self._sleep, self._log = sleep, log
        self._app = None
        self._failures = self._calm = 0

    def turn(self):
        """One round of the app, and a pause after it."""
        pause = 100
        try:
            if self._app is None:
                self._app = self._make()
            self._app.turn()
            self._calm += 1
            if self._calm >= CALM:
                self._failures = 0
            if self._app.device.failures >= FAILURES:
                self._restart()
        except Exception as error:
            pause = self._failed(error)
        self._wait(pause)

    def _failed(self, error):
        text = "%s: %s" % (type(error).__name__, error)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self._failures += 1
        self._calm = 0
        gc.collect()
        self._log("main: " + text)
        if self._failures >= FAILURES:
            self._restart()
        return min(60, 1 << min(self._failures - 1, 6)) * 1000

    def _restart(self):
        self._log("main: the same again and again; the board restarts")
        try:
            self._app.device.save()
        except Exception:
            # There may be no app, and the flash may be what is broken.
            pass
        machine.reset()

    def _wait(self, ms):
        while ms > 0:
            if self._dog:
                self._dog.feed()
            self._sleep(min(ms, 1000))
            ms -= 1000


def run():
    config = settings()
    secrets = [text for text in (getattr(config, "TOKEN", ""), getattr(config, "WIFI_PASSWORD", "")) if text]
    guard = Guard(make, watchdog(getattr(config, "WATCHDOG_S", 120)), secrets)
    while True:
        guard.turn()


if __name__ == "__main__":
    run()
