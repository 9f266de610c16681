"""In which seconds of a run the owner of a virtual machine left it alone.

Where a tenth of the processors is taken away for half a minute, and nothing of them in the next, a comparison of the two tells what
the owner did. So a bench compares only what began in seconds (or shorter times, SPAN_SECONDS) of which at most STOLEN_MAX was taken,
whichever side they are on.
"""
import threading
import time

from elsewhere import stand_back
from where import processors

STOLEN_MAX = 0.05
SPAN_SECONDS = 0.5


class Meanwhile(threading.Thread):
    """Looks while it is entered, until `over` is set, and is in nobody's way."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over = threading.Event()

    def run(self):
        stand_back()
        self.look()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Calm(Meanwhile):
    """Looks. A span counts once it is over."""

    def __init__(self):
        super().__init__()
        self.spans = []

    def look(self):
        since, before = time.time(), processors()
        while not self.over.wait(SPAN_SECONDS):
            until, now = time.time(), processors()
            if now[2] - before[2] <= STOLEN_MAX * (now[0] - before[0]):
                self.spans.append((since, until))
            since, before = until, now

    def seconds(self, began, ended):
        return sum(max(0, min(until, ended) - max(since, began)) for since, until in self.spans)

    def of(self, calls, began, ended):
        """Of calls (when, milliseconds) the milliseconds of those that began between the two, in such a span, sorted."""
        spans = [(max(since, began), min(until, ended)) for since, until in self.spans if until > began and since < ended]
        return sorted(ms for at, ms in calls if any(since <= at < until for since, until in spans))
