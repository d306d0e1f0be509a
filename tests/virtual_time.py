"""Event loops on which hours pass in no time: whenever all tasks wait, the clock leaps to the next deadline.

For tests that read no socket and use no thread: their tasks, and the tests, see exact times however busy the machine is.
"""

import asyncio
import selectors

import trio.testing


class Leaping(selectors.DefaultSelector):
    """Leaps over the time in which nothing can happen."""

    now = 0.0

    def select(self, timeout=None):
        ready = super().select(None if timeout is None else 0)
        if timeout and not ready:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose clock stands still while anybody works."""

    def __init__(self):
        self.leaping = Leaping()
        super().__init__(self.leaping)

    def time(self):
        return self.leaping.now


def backend(name):
    """An anyio backend of that name with a clock of its own."""
    if name == "asyncio":
        return name, {"loop_factory": VirtualLoop}
    return name, {"clock": trio.testing.MockClock(autojump_threshold=0)}
