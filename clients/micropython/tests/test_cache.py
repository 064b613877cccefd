"""The cache alone: order, bounds, and files that a loss of power cut off."""

from espalier import Cache


def line(n):
    return '{"ts":%d,"data":{"n":%d}}' % (n, n)


def drain(cache, **limits):
    found = []
    while True:
        lines = cache.take(**limits)
        if not lines:
            return found
        found += lines
        cache.delivered()


def test_memory_alone_keeps_the_newest():
    cache = Cache(max_ram=5)
    for n in range(8):
        cache.add(line(n))
    assert cache.lost == 3
    assert drain(cache, most=2) == [line(n) for n in range(3, 8)]
    assert cache.empty()


def test_files_keep_the_order_and_a_bound():
    import os

    cache = Cache("/bound", max_bytes=2000, max_ram=4)
    for n in range(1000, 1300):
        cache.add(line(n))
    size = sum(os.stat("/bound" + end)[6] for end in (".0", ".1"))
    assert size < 2500, size
    assert cache.lost > 0
    assert drain(cache, most=7, most_bytes=100) == [line(n) for n in range(1000 + cache.lost, 1300)]
    assert cache.empty() and not any(name.startswith("bound") for name in os.listdir("/"))


def test_what_was_not_delivered_is_there_after_a_restart():
    cache = Cache("/restart", max_ram=2)
    for n in range(10):
        cache.add(line(n))
    assert cache.save()
    assert cache.take(most=3) == [line(0), line(1), line(2)]
    cache.delivered()
    assert cache.take(most=1) == [line(3)]
    # Not delivered: it comes again, and what was delivered may come again too, with the same times.
    again = Cache("/restart", max_ram=2)
    assert drain(again) == [line(n) for n in range(10)]


def test_a_line_that_was_cut_off_costs_only_itself():
    for cut in range(1, len(line(1))):
        with open("/torn.1", "wb") as file:
            file.write(line(0).encode() + b"\n" + line(1).encode()[:cut])
        cache = Cache("/torn", max_ram=1)
        for n in (2, 3):
            cache.add(line(n))
        assert drain(cache) == [line(0), line(2), line(3)], cut
    with open("/torn.0", "wb") as file:
        file.write(b"\xff\xfe\n[]\n7\n{}\n\n" + line(5).encode() + b"\n")
    assert drain(Cache("/torn")) == [line(5)]


def test_a_file_system_that_is_full_loses_the_oldest_and_says_so():
    cache = Cache("/no/such/folder/x", max_ram=2)
    for n in range(5):
        cache.add(line(n))
    assert cache.lost == 3 and not cache.save()
    assert drain(cache) == [line(3), line(4)]
