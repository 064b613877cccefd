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


def run_over(flash, cache, lines, delivered, said_saved):
    """A board's life: samples come, some are saved, some delivered. What it does is noted as it happens."""
    for n in range(40):
        lines.append(line(n))
        cache.add(line(n))
        if n % 9 == 8:
            if cache.save():
                said_saved.append(n)
        if n % 7 == 6:
            found = cache.take(most=4)
            delivered += found
            cache.delivered()


def test_any_single_call_of_the_file_system_may_fail():
    from flash import Flash

    counted = Flash().use("/count")
    run_over(counted, Cache("/count/x", max_bytes=600, max_ram=3), [], [], [])
    assert counted.calls > 100
    for at in range(1, counted.calls + 1):
        flash = Flash().use("/single%d" % at)
        flash.fail_at = at
        cache = Cache("/single%d/x" % at, max_bytes=600, max_ram=3)
        lines, delivered = [], []
        run_over(flash, cache, lines, delivered, [])
        delivered += drain(cache)
        # Whatever failed: what has not arrived was counted, and what has arrived is what was measured.
        assert all(one in lines for one in delivered), (at, delivered)
        missing = [one for one in lines if one not in delivered]
        assert len(missing) <= cache.lost, (at, missing, cache.lost)
        assert cache.empty()


def test_a_file_system_that_breaks_for_good_costs_only_samples():
    from flash import Flash

    for at in range(1, 120, 3):
        flash = Flash().use("/gone%d" % at)
        flash.fail_from = at
        cache = Cache("/gone%d/x" % at, max_bytes=600, max_ram=3)
        lines, delivered = [], []
        run_over(flash, cache, lines, delivered, [])
        cache.add(line(99))
        for _ in range(20):
            delivered += cache.take()
            cache.delivered()
        assert delivered.pop() == line(99) and all(one in lines for one in delivered), at
        assert cache.take() == []


def test_power_may_go_in_any_write():
    from flash import Flash, PowerCut

    counted = Flash().use("/all")
    run_over(counted, Cache("/all/x", max_bytes=600, max_ram=3), [], [], [])
    cuts = 0
    for at in range(1, counted.calls + 1):
        flash = Flash().use("/cut%d" % at)
        flash.cut_at = at
        lines, delivered, saved = [], [], []
        cache = Cache("/cut%d/x" % at, max_bytes=600, max_ram=3)
        try:
            run_over(flash, cache, lines, delivered, saved)
        except PowerCut:
            cuts += 1
        flash.cut_at = -1
        again = Cache("/cut%d/x" % at, max_bytes=600, max_ram=3)
        again.add(line(999))
        assert again.save()
        found = drain(again)
        # What save() had promised is there, apart from what the bound of the files has cost, and so is what came after the cut.
        assert found[-1] == line(999) and all(one in lines for one in found[:-1]), (at, found)
        kept = lines[: saved[-1] + 1] if saved else []
        missing = [one for one in kept if one not in delivered and one not in found]
        assert len(missing) <= cache.lost + again.lost, (at, missing, cache.lost)
    assert cuts > 20, cuts


def test_flash_that_is_full_keeps_what_is_in_it():
    from flash import Flash

    flash = Flash(room=300).use("/full")
    cache = Cache("/full/x", max_ram=3)
    for n in range(100):
        cache.add(line(n))
    flash.calls = 0
    for n in range(100, 164):
        cache.add(line(n))
    # Not with every sample: each attempt wears the flash.
    assert flash.calls <= 5 * 6, flash.calls
    assert cache.lost > 100
    flash.room = 1 << 20
    cache.add(line(164))
    found = drain(cache)
    assert found[0] == line(0) and found[-1] == line(164)
    assert len([n for n in range(165) if line(n) not in found]) <= cache.lost


def test_files_that_cannot_be_removed_are_sent_once_and_not_looked_at_again():
    from flash import Flash

    flash = Flash().use("/stuck")
    cache = Cache("/stuck/x", max_ram=2)
    for n in range(6):
        cache.add(line(n))
    flash.failing = ("remove", "write", "rename")
    assert drain(cache) == [line(n) for n in range(6)]
    for n in range(6, 20):
        cache.add(line(n))
    assert cache.lost == 12 and drain(cache) == [line(18), line(19)] and cache.empty()


def test_a_file_of_noise_costs_little_memory_and_nothing_else():
    from flash import Flash

    flash = Flash().use("/noise")
    flash.files["/x.0"] = bytearray(b"\xa5" * 60000 + b"\n" + line(1).encode() + b"\n" + b"{" * 9000)
    flash.files["/x.1"] = bytearray(b"\x00" * 20000)
    cache = Cache("/noise/x", max_ram=2)
    for n in (2, 3, 4):
        cache.add(line(n))
    assert cache.save()
    assert drain(cache) == [line(1), line(2), line(3), line(4)]
    assert not flash.files


def test_samples_that_are_dropped_while_others_are_on_their_way_are_not_delivered_for_them():
    cache = Cache(max_ram=3)
    for n in range(3):
        cache.add(line(n))
    assert cache.take(most=2) == [line(0), line(1)]
    cache.add(line(3))
    cache.delivered()
    assert drain(cache) == [line(2), line(3)]
