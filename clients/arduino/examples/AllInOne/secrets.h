// What only this board knows. Copy the id and the token from the device's page; do not put this file where others see it.
#define WIFI_NAME "your network"
#define WIFI_PASSWORD "its password"
#define SERVER "http://192.168.1.10:8000"
#define DEVICE "0123456789abcdef01234567"
#define TOKEN "the device's token"
