"""A file system in memory that fails when a test wants it: full, worn, or without power in the middle of a write.

Each call of the file system is counted. `fail_at` and `fail_from` name the calls that raise EIO, `cut_at` the write that writes half of its
bytes and is the last thing that happens before the power is gone. `room` is how many bytes fit.
"""

import os


class PowerCut(Exception):
    """The board has no power."""


class Flash:
    def __init__(self, room=1 << 20):
        self.files = {}
        self.room = room
        self.calls = 0
        self.fail_at = self.fail_from = self.cut_at = -1
        self.failing = ()

    def call(self, kind, name=None):
        self.calls += 1
        late = 0 <= self.fail_from <= self.calls
        if self.calls == self.fail_at or late or kind in self.failing:
            raise OSError(5)
        if name is not None and name not in self.files:
            raise OSError(2)

    def use(self, path="/flash"):
        os.mount(self, path)
        return self

    # What MicroPython calls.

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def stat(self, path):
        self.call("stat", path)
        return (0x8000, 0, 0, 0, 0, 0, len(self.files[path]), 0, 0, 0)

    def remove(self, path):
        self.call("remove", path)
        del self.files[path]

    def rename(self, old, new):
        self.call("rename", old)
        self.files[new] = self.files.pop(old)

    def open(self, path, mode):
        self.call("open", path if "r" in mode else None)
        if "w" in mode or path not in self.files:
            self.files[path] = bytearray()
        return _File(self, path)


class _File:
    def __init__(self, flash, path):
        self._flash, self._path, self._at = flash, path, 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def close(self):
        pass

    def seek(self, at):
        self._at = at

    def write(self, data):
        flash = self._flash
        flash.call("write")
        file = flash.files[self._path]
        left = flash.room - sum(len(other) for other in flash.files.values())
        if flash.calls == flash.cut_at:
            file.extend(data[: len(data) // 2])
            raise PowerCut()
        file.extend(data[:left])
        if left < len(data):
            raise OSError(28)
        return len(data)

    def _take(self, end):
        piece = bytes(self._flash.files[self._path][self._at : end])
        self._at += len(piece)
        return piece

    def read(self, count=-1):
        self._flash.call("read")
        return self._take(self._at + count if count >= 0 else 1 << 24)

    def readline(self, most=1 << 24):
        self._flash.call("read")
        end = bytes(self._flash.files[self._path]).find(b"\n", self._at) + 1 or 1 << 24
        return self._take(min(end, self._at + most))
