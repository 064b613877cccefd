"""Pins that remember what they were set to."""


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
