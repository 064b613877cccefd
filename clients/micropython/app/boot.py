"""Runs first: brings the board into its network, for at most 15 seconds. Without one main.py starts all the same.

An exception here would keep MicroPython from starting main.py at all, so that none leaves it.
"""

wifi = None
try:
    import config
    from espalier.wifi import Wifi

    wifi = Wifi(config.WIFI_NAME, config.WIFI_PASSWORD)
    if not wifi.wait(15):
        print("boot: no Wi-Fi yet; main.py goes on trying and keeps the samples")
except Exception as error:
    print("boot: %s; main.py goes on" % type(error).__name__)
