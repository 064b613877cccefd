"""What only this board knows. Copy the id and the token from the device's page; do not put this file where others see it."""

WIFI_NAME = "your network"
WIFI_PASSWORD = "its password"
SERVER = "http://192.168.1.10:8000"
DEVICE = "0123456789abcdef01234567"
TOKEN = "the device's token"

# For https: the certificate of the authority that signed the server's, as a file on the board (DER).
CA_FILE = None

# Seconds without a sign of the app after which the board restarts; 0: no watchdog. One that runs cannot be stopped: after Ctrl-C
# the board restarts as well.
WATCHDOG_S = 120

LED_PIN = 2
INTERVAL_S = 10
