"""Lets a JSON document stream by and keeps a few small parts of it, so that an answer may be much larger than a board's memory.

It looks at the members of the document's object, and, of the members that it is told to open, at each item of theirs.
"""

# What comes next.
_START, _NAME, _COLON, _VALUE, _INSIDE, _AFTER, _END = range(7)
_SPACE = b" \t\r\n"
_MAX_NAME = 130
# Of a part that is too large this much is kept: enough to see what it is.
_HEAD = 128


class Sieve:
    """`wanted(name, key)`: whether a part is kept; `name` is a member of the document, `key` a member of that one, or None.
    `opened`: the members whose items are parts of their own. `each`, `most`: bytes of one part and of all.

    `found` holds (name, key, bytes, whole); `whole` is false for a part that was too large, of which only the beginning is there.
    Parts that come when `most` is reached are left out. `names` are the members that the document has and that were asked for.
    """

    def __init__(self, wanted, opened=(), each=4096, most=8192):
        self._wanted = wanted
        self._opened = opened
        self._each, self._most = each, most
        self.begin()

    def begin(self):
        """Forgets everything: the document comes anew."""
        self.found = []
        self.names = []
        self.broken = False
        self._state = _START
        self._close = 0  # the bracket that ends the opened member, 0 at the first level
        self._member = self._key = None
        self._text = None  # what is kept of the present part
        self._whole = True
        self._depth = 0
        self._string = self._escape = False
        self._sum = 0

    def whole(self):
        """Whether the document was one whole object."""
        return self._state == _END and not self.broken

    def put(self, piece):
        """Takes the next bytes."""
        at, end = 0, len(piece)
        while at < end and not self.broken:
            if self._string and self._text is None and not self._escape:
                # Of a string that nobody wants only its end matters.
                at = self._skip(piece, at)
                if at >= end:
                    break
            self._step(piece[at])
            at += 1

    @staticmethod
    def _skip(piece, at):
        quote, slash = piece.find(b'"', at), piece.find(b"\\", at)
        ends = [found for found in (quote, slash) if found >= 0]
        return min(ends) if ends else len(piece)

    def _keep(self, byte):
        if self._text is None:
            return
        most = _MAX_NAME if self._state == _NAME else self._each
        if len(self._text) < most:
            self._text.append(byte)
        else:
            self._whole = False

    def _step(self, byte):
        if self._string:
            self._in_string(byte)
        elif byte in _SPACE:
            if self._state == _INSIDE and self._depth == 0:
                self._finish_value()
        elif self._state == _START:
            self._expect(byte == 0x7B, _NAME)
        elif self._state == _NAME:
            self._name(byte)
        elif self._state == _COLON:
            self._expect(byte == 0x3A, _VALUE)
        elif self._state == _VALUE:
            self._begin_value(byte)
        elif self._state == _INSIDE:
            self._in_value(byte)
        elif self._state == _AFTER:
            self._after(byte)
        else:
            self.broken = True

    def _expect(self, right, state):
        self._state = state
        self.broken = not right

    def _in_string(self, byte):
        ends = byte == 0x22 and not self._escape
        if not (ends and self._state == _NAME):
            self._keep(byte)
        self._escape = byte == 0x5C and not self._escape
        if not ends:
            return
        self._string = False
        if self._state == _NAME:
            self._end_name()
        elif self._depth == 0:
            self._finish_value()

    def _name(self, byte):
        if byte == 0x22:
            self._string, self._text, self._whole = True, bytearray(), True
        elif byte == 0x7D:
            self._end_container()
        else:
            self.broken = byte != 0x2C

    def _end_name(self):
        # A name with an escape is nobody's that is looked for: the backslash keeps it from being equal.
        try:
            name = bytes(self._text).decode() if self._whole else ""
        except UnicodeError:
            name = ""
        self._text = None
        if self._close:
            self._key = name
        else:
            self._member, self._key = name, None
        self._state = _COLON

    def _begin_value(self, byte):
        if self._close == 0x5D and byte == 0x5D:
            return self._end_container()
        if not self._close and self._member in self._opened and byte in b"{[":
            self.names.append(self._member)
            self._close = byte + 2
            self._state = _NAME if byte == 0x7B else _VALUE
            return
        self._state, self._depth, self._whole = _INSIDE, 0, True
        wanted = self._wanted(self._member, self._key)
        if wanted and not self._close:
            self.names.append(self._member)
        self._text = bytearray() if wanted and self._sum < self._most else None
        self._in_value(byte)

    def _in_value(self, byte):
        if self._depth == 0 and byte in b",}]":
            self._finish_value()
            return self._after(byte)
        self._keep(byte)
        if byte == 0x22:
            self._string = True
        elif byte in b"{[":
            self._depth += 1
        elif byte in b"}]":
            self._depth -= 1
            if self._depth == 0:
                self._finish_value()

    def _finish_value(self):
        if self._text is not None:
            text = bytes(self._text) if self._whole else bytes(self._text[:_HEAD])
            self._text = None
            self._sum += len(text)
            self.found.append((self._member, self._key, text, self._whole))
        self._state = _AFTER

    def _after(self, byte):
        if byte == 0x2C:
            self._state = _VALUE if self._close == 0x5D else _NAME
        elif byte == (self._close or 0x7D):
            self._end_container()
        else:
            self.broken = True

    def _end_container(self):
        self._state = _AFTER if self._close else _END
        self._close = 0
