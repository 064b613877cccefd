"""The sieve alone: what it keeps of documents that are much larger than what it may keep, and documents that are none."""

import json

from espalier.sieve import Sieve


def sift(text, wanted=lambda name, key: True, piece=1000, **options):
    sieve = Sieve(wanted, ("desired", "commands"), **options)
    data = text.encode()
    for at in range(0, len(data), piece):
        sieve.put(data[at : at + piece])
    return sieve


def test_members_and_items_are_kept_as_they_were_sent():
    value = {"time": 77, "data": {"time": 1, "a": ["}", {"b": "\\\""}]}, "n": None, "text": 'ä"\\', "desired": {"v0": {"value": [1, "]"], "version": 2}, "v1": 0.5, "e": {}}}
    value["commands"] = [{"id": "1"}, [], 7, "x"]
    for piece in (1, 3, 1000):
        sieve = sift(json.dumps(value), piece=piece)
        assert sieve.whole(), piece
        found = {}
        commands = []
        for name, key, text, whole in sieve.found:
            assert whole
            if name == "commands":
                commands.append(json.loads(text))
            else:
                found[name, key] = json.loads(text)
        assert commands == value["commands"]
        for name in ("time", "data", "n", "text"):
            assert found[name, None] == value[name], name
        for key in value["desired"]:
            assert found["desired", key] == value["desired"][key], key
        assert len(found) == 7


def test_what_is_not_wanted_costs_nothing():
    text = '{"data":{' + ",".join('"key%d":"}],\\"time\\":1"' % n for n in range(2000)) + '},"time":5,"desired":{"v9":1,"v0":2}}'
    sieve = sift(text, lambda name, key: name == "time" or key == "v0", piece=64)
    assert sieve.whole() and sieve.found == [("time", None, b"5", True), ("desired", "v0", b"2", True)]
    assert sieve.names == ["time", "desired"]


def test_what_is_too_large_is_cut_and_the_rest_goes_on():
    text = '{"commands":[{"id":"a","x":"%s"},{"id":"b"}],"time":1}' % ("y" * 5000)
    sieve = sift(text, each=300)
    assert [(f[0], f[3]) for f in sieve.found] == [("commands", False), ("commands", True), ("time", True)]
    assert sieve.found[0][2].startswith(b'{"id":"a"') and len(sieve.found[0][2]) == 128
    many = '{"commands":[' + ",".join('{"id":"%03d"}' % n for n in range(100)) + "]}"
    sieve = sift(many, most=100)
    assert sieve.whole() and [json.loads(f[2])["id"] for f in sieve.found] == ["%03d" % n for n in range(9)]
    name = '{"%s":1,"time":2}' % ("n" * 5000)
    assert sift(name).found[-1] == ("time", None, b"2", True)


def test_what_is_no_whole_object_is_noticed():
    good = '{"a":1,"desired":{"v0":{"x":1}},"commands":[1]}'
    assert sift(good).whole() and sift(" { } \n").whole() and sift('{"desired":{},"commands":[]}').whole()
    for end in range(len(good)):
        assert not sift(good[:end]).whole(), good[:end]
    for bad in ("[1]", "7", "<html>", good + "x", good + "}", '{"a" 1}', '{"a":1 2}', "{a:1}", '{"a":1]', '{"desired":{]}', '{"commands":[}}', "\x00"):
        assert not sift(bad).whole(), bad


def test_any_bytes_are_taken():
    import random

    random.seed(7)
    alphabet = b'{}[]":,\\ 1\xff'
    for _ in range(2000):
        sieve = Sieve(lambda name, key: True, ("desired", ""))
        sieve.put(bytes(alphabet[random.getrandbits(16) % len(alphabet)] for _ in range(40)))
        sieve.whole()
