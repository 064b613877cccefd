"""Samples that wait for the server: a few in memory, the rest in two files of bounded size, oldest first out.

Each sample is one line of JSON, `{"ts":…,"data":{…}}`. When both files are full the older one is dropped, and counted. A line that
a loss of power cut off is skipped. What is sent twice has the same time twice, and is one point for the server. A file system that
is full, read-only or broken costs samples and never an exception: what cannot be written stays in memory, what cannot be read waits.
"""

import json
import os

# Bytes of one line: what a board keeps of one, also of a file that holds no line ends at all.
MAX_LINE = 8192
_PIECE = 256
# Samples between two attempts to write to files that could not be written to.
_PAUSE = 16
# ENOENT, also as the WebAssembly port numbers it.
_NO_SUCH_FILE = (2, 44)
# So often a file may refuse to be read before it is given up.
_ATTEMPTS = 3


def _size(path):
    try:
        return os.stat(path)[6]
    except OSError:
        return -1


def _absent(path):
    """Whether there is certainly no such file: a file system that cannot tell now is not one that has none."""
    try:
        os.stat(path)
        return False
    except OSError as error:
        return error.args[0] in _NO_SUCH_FILE


def _read_line(file):
    """A line and how many bytes it takes in the file; a line that is longer than any of ours is empty."""
    # The bound of readline() is also what it allocates at once.
    line = piece = file.readline(_PIECE)
    size = len(piece)
    while piece and not piece.endswith(b"\n"):
        piece = file.readline(_PIECE)
        size += len(piece)
        if len(line) <= MAX_LINE:
            line += piece
    return line if size <= MAX_LINE else b"", size


class Cache:
    """`path`: where the files lie (two endings are added); None keeps all in memory. `max_bytes`: of both files together."""

    def __init__(self, path=None, max_bytes=65536, max_ram=32):
        self.lost = 0
        self._ram = []
        self._max_ram = max_ram
        self._half = max_bytes // 2
        self._old = path + ".0" if path else None
        self._new = path + ".1" if path else None
        self._at = {}  # of each file, how many bytes were delivered
        self._taken = 0  # bytes of a file, or samples in memory, that take() has handed out
        self._from_file = None
        self._dead = []  # files that can be neither used nor removed; a restart tries again
        self._unread = 0
        self._pause = 0
        self._torn = bool(path) and not self._ends_whole()

    def _ends_whole(self):
        size = _size(self._new)
        if size <= 0:
            return True
        try:
            with open(self._new, "rb") as file:
                file.seek(size - 1)
                return file.read(1) == b"\n"
        except OSError:
            return False

    def _give_up(self, path):
        """Removes a file, or at least never looks at it again."""
        self._unread = 0
        try:
            os.remove(path)
            self._at[path] = 0
        except OSError:
            if not _absent(path) and path not in self._dead:
                self._dead.append(path)

    def add(self, line):
        """Adds one sample as JSON text."""
        self._ram.append(line)
        if len(self._ram) <= self._max_ram:
            return
        self._pause -= 1
        if not self._new or self._pause > 0 or not self.save():
            self._drop()

    def _drop(self):
        """Drops the oldest sample in memory; when take() had handed it out, one less is delivered."""
        self._ram.pop(0)
        self.lost += 1
        if not self._from_file and self._taken:
            self._taken -= 1

    def save(self):
        """Moves what is in memory to the files, before a restart or deep sleep; False when that failed."""
        if not self._ram:
            return True
        if not self._new or self._new in self._dead:
            return False
        try:
            if _size(self._new) > self._half:
                self._turn()
            with open(self._new, "ab") as file:
                if self._torn:
                    # So that what was cut off does not take the next line with it.
                    file.write(b"\n")
                for line in self._ram:
                    file.write(line.encode() + b"\n")
        except OSError:
            # Part of a line may be there now. Flash that is full wears out when it is tried with every sample.
            self._torn, self._pause = True, _PAUSE
            return False
        self._torn, self._pause = False, 0
        if not self._from_file:
            # They are in the file now, where a delivery of them would not find them.
            self._taken = 0
        self._ram.clear()
        return True

    def _turn(self):
        """The newer file becomes the older one; samples of the older one that were not delivered are lost."""
        if not _absent(self._old):
            lost = 0 if self._old in self._dead else self._count(self._old)
            os.remove(self._old)
            self.lost += lost
        if self._from_file == self._old:
            self._from_file, self._taken = None, 0
        self._at[self._old] = 0
        os.rename(self._new, self._old)
        self._at[self._old] = self._at.pop(self._new, 0)
        if self._from_file == self._new:
            self._from_file = self._old
        self._dead = [path for path in self._dead if path != self._old]
        self._torn = False

    def _count(self, path):
        count = 0
        with open(path, "rb") as file:
            file.seek(self._at.get(path, 0))
            piece = file.read(_PIECE)
            while piece:
                count += piece.count(b"\n")
                piece = file.read(_PIECE)
        return count

    def _oldest(self):
        for path in (self._old, self._new):
            if path and path not in self._dead and _size(path) > 0:
                return path
        return None

    def take(self, most=40, most_bytes=4096):
        """The oldest samples as a list of JSON texts; call delivered() when they have arrived. Empty: nothing waits."""
        path = self._oldest()
        while path:
            try:
                lines, end = self._read(path, most, most_bytes)
            except OSError:
                self._unread += 1
                if self._unread < _ATTEMPTS:
                    break
                self._give_up(path)
                path = self._oldest()
                continue
            self._unread = 0
            if lines:
                self._from_file, self._taken = path, end
                return lines
            # All of it was delivered, or it holds nothing whole.
            self._give_up(path)
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
            end = self._at.get(path, 0)
            file.seek(end)
            while len(lines) < most and total < most_bytes:
                raw, size = _read_line(file)
                if not size:
                    break
                end += size
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
            self._at[self._from_file] = self._taken
            if 0 <= _size(self._from_file) <= self._taken:
                self._give_up(self._from_file)
        else:
            self._ram = self._ram[self._taken :]
        self._taken = 0
        self._from_file = None

    def empty(self):
        """Whether nothing waits."""
        return not self._ram and self._oldest() is None
