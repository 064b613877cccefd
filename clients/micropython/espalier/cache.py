"""Samples that wait for the server: a few in memory, the rest in two files of bounded size, oldest first out.

Each sample is one line of JSON, `{"ts":…,"data":{…}}`. When both files are full the older one is dropped, and counted. A line that
a loss of power cut off is skipped. What is sent twice has the same time twice, and is one point for the server.
"""

import json
import os


def _size(path):
    try:
        return os.stat(path)[6]
    except OSError:
        return -1


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass


class Cache:
    """`path`: where the files lie (two endings are added); None keeps all in memory. `max_bytes`: of both files together."""

    def __init__(self, path=None, max_bytes=65536, max_ram=32):
        self.lost = 0
        self._ram = []
        self._max_ram = max_ram
        self._half = max_bytes // 2
        self._old = path + ".0" if path else None
        self._new = path + ".1" if path else None
        self._at = 0  # bytes of the oldest file that were delivered
        self._taken = 0  # bytes of that file, or samples in memory, that take() has handed out
        self._from_file = None
        if path and _size(self._new) >= 0 and not self._ends_whole():
            with open(self._new, "ab") as file:
                file.write(b"\n")

    def _ends_whole(self):
        size = _size(self._new)
        if size == 0:
            return True
        with open(self._new, "rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"

    def add(self, line):
        """Adds one sample as JSON text."""
        self._ram.append(line)
        if len(self._ram) > self._max_ram:
            if not self._new or not self.save():
                self._ram.pop(0)
                self.lost += 1

    def save(self):
        """Moves what is in memory to the files, before a restart or deep sleep; False when that failed."""
        if not self._new:
            return not self._ram
        try:
            if _size(self._new) > self._half:
                self._turn()
            with open(self._new, "ab") as file:
                for line in self._ram:
                    file.write(line.encode() + b"\n")
        except OSError:
            return False
        self._ram.clear()
        return True

    def _turn(self):
        """The newer file becomes the older one; samples of the older one that were not delivered are lost."""
        if _size(self._old) > 0:
            with open(self._old, "rb") as file:
                file.seek(self._at)
                while True:
                    line = file.readline()
                    if not line:
                        break
                    self.lost += 1
            _remove(self._old)
            self._at = 0
        os.rename(self._new, self._old)

    def _oldest(self):
        for path in (self._old, self._new):
            if path and _size(path) > 0:
                return path
        return None

    def take(self, most=40, most_bytes=4096):
        """The oldest samples as a list of JSON texts; call delivered() when they have arrived. Empty: nothing waits."""
        path = self._oldest()
        while path:
            lines, end = self._read(path, most, most_bytes)
            if lines:
                self._from_file, self._taken = path, end
                return lines
            # All of it was delivered, or it holds nothing whole.
            _remove(path)
            self._at = 0
            path = self._oldest()
        self._from_file = None
        lines = self._ram[:most]
        while len(lines) > 1 and sum(len(line) for line in lines) > most_bytes:
            lines.pop()
        self._taken = len(lines)
        return lines

    def _read(self, path, most, most_bytes):
        lines, total = [], 0
        with open(path, "rb") as file:
            file.seek(self._at)
            end = self._at
            while len(lines) < most and total < most_bytes:
                raw = file.readline()
                if not raw:
                    break
                end += len(raw)
                line = self._whole(raw)
                if line:
                    lines.append(line)
                    total += len(line)
        return lines, end

    @staticmethod
    def _whole(raw):
        if not raw.endswith(b"\n"):
            return None
        try:
            line = raw.decode().strip()
            sample = json.loads(line)
        except (ValueError, UnicodeError):
            return None
        return line if isinstance(sample, dict) and "data" in sample and "ts" in sample else None

    def delivered(self):
        """What take() has handed out is where it belongs."""
        if self._from_file:
            self._at = self._taken
            if self._at >= _size(self._from_file):
                _remove(self._from_file)
                self._at = 0
        else:
            self._ram = self._ram[self._taken :]
        self._taken = 0
        self._from_file = None

    def empty(self):
        """Whether nothing waits."""
        return not self._ram and self._oldest() is None
