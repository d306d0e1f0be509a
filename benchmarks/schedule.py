"""What would `makespan.py` take if nobody needed processor time? The choice of the next download, replayed on paper.

Tapes are read in the order of acquisition, each once, by all drives. A slot that is free takes what `choose_next` of
pepsasync chooses among what is on disk, when the quota allows it. It is busy for as long as the bytes need, and for a
pause. What a real run takes beyond this is the time of client and archive, and of their looks at the tape.
"""

import json

from makespan import JOBS, SETTINGS

from pepsasync.limits.slots import WaitingDownload, choose_next

PAUSES = (0.0, 0.01, 0.02, 0.05)
"""Seconds between two downloads of one slot."""


def arrivals(setting):
    """When each product is on disk, and its bytes, in that order."""
    drives = [0.0] * setting.drives
    tapes, found = {}, []
    for at, product in enumerate(setting.catalogue):
        if product.mode == "tape":
            tapes.setdefault(at // setting.tape_products, []).append(product.size)
        else:
            found.append((0.0, product.size))
    for sizes in tapes.values():
        drive = drives.index(min(drives))
        now = drives[drive] + setting.mount
        for size in sizes:
            now += setting.read
            found.append((now, size))
        drives[drive] = now
    return sorted(found, key=lambda one: one[0])


def replay(setting, pause):
    """Seconds until the last byte."""
    coming, waiting, begun, slots = arrivals(setting), [], [], [0.0] * JOBS
    while coming or waiting:
        slot = slots.index(min(slots))
        now = slots[slot]
        while coming and coming[0][0] <= now:
            waiting.append(WaitingDownload(coming.pop(0)[1]))
        if not waiting:
            slots[slot] = coming[0][0]
        elif _is_used_up(setting.quota, begun, now):
            slots[slot] = begun[-setting.quota.products] + setting.quota.seconds
        else:
            chosen = choose_next(waiting, JOBS)
            waiting.remove(chosen)
            begun.append(now)
            slots[slot] = now + pause + chosen.size / setting.each
    return max(slots)


def _is_used_up(quota, begun, now):
    return quota and len(begun) >= quota.products and begun[-quota.products] + quota.seconds > now


def main():
    setting = SETTINGS["archive"]
    for pause in PAUSES:
        seconds = replay(setting, pause)
        of_bound = round(seconds / setting.bound(), 3)
        print(json.dumps({"setting": setting.name, "pause": pause, "seconds": round(seconds, 2), "of_bound": of_bound}))


if __name__ == "__main__":
    main()
