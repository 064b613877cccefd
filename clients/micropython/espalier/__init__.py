"""Espalier for MicroPython: a device that reports, obeys and survives a lost network.

    from espalier import Device, Cache
    device = Device("http://192.168.1.10:8000", "<device id>", "<token>", cache=Cache("/samples"))
    device.on_pin("v0", lambda value: led.value(1 if value else 0))
    device.send({"temperature": 21.4})
    device.step()                       # call it often

Updates over the air are not part of it: the server keeps images of whole programs for ESP32 chips, not files of an app.
"""

from .cache import Cache
from .device import Device, OFFLINE, ONLINE, REFUSED
from .http import Http

__version__ = "0.1.0"
