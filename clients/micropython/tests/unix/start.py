"""Runs one file of tests in the interpreter for Unix, on littlefs as boards have it: `micropython start.py FOLDER FILE`.

FOLDER holds what a board and its tests have: `lib`, `app`, `shims`. What the tests write lies in a small flash in memory.
"""

import gc
import os
import sys

folder, name = sys.argv[1], sys.argv[2]


class Blocks:
    """A flash of 128 kB with blocks of 4 kB, less than boards have."""

    SIZE = 4096

    def __init__(self, count=32):
        self._data = bytearray(count * self.SIZE)

    def readblocks(self, number, buffer, offset=0):
        at = number * self.SIZE + offset
        buffer[:] = memoryview(self._data)[at : at + len(buffer)]

    def writeblocks(self, number, buffer, offset=0):
        at = number * self.SIZE + offset
        self._data[at : at + len(buffer)] = buffer

    def ioctl(self, what, _):
        return {4: len(self._data) // self.SIZE, 5: self.SIZE}.get(what, 0)


def start():
    blocks = Blocks()
    os.VfsLfs2.mkfs(blocks)
    os.mount(os.VfsPosix(folder), "/host")
    code = {}
    for file in os.listdir("/host/app"):
        with open("/host/app/" + file) as source:
            code[file] = source.read()
    os.umount("/")
    os.mount(os.VfsLfs2(blocks), "/")
    os.mkdir("/app")
    for file, text in code.items():
        with open("/app/" + file, "w") as copy:
            copy.write(text)
    os.chdir("/")
    sys.path[:] = ["/host/shims", "/host/lib", "/host/tests", ".frozen"]


def run():
    import prepare

    prepare.board = "http://127.0.0.1:%d" % prepare.call("plug")
    tests = __import__(name)
    failed = []
    names = sorted(test for test in dir(tests) if test.startswith("test_"))
    for test in names:
        gc.collect()
        try:
            getattr(tests, test)()
        except Exception as error:
            failed.append(test)
            print("FAILED %s: %s" % (name, test))
            sys.print_exception(error)
    print("passed %d failed %d" % (len(names) - len(failed), len(failed)))


start()
run()
