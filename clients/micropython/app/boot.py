"""Runs first: brings the board into its network, for at most 15 seconds. Without one main.py starts all the same."""

import config
from espalier.wifi import Wifi

wifi = Wifi(config.WIFI_NAME, config.WIFI_PASSWORD)
if not wifi.wait(15):
    print("boot: no Wi-Fi yet; main.py goes on trying and keeps the samples")
