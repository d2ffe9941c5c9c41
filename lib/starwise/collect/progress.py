"""Progress as plain lines, which read alike in JupyterLab, in a terminal and in a log.

progress = Progress("companies", print)
progress.show("120 found", "31 of 84 lists")    # at most one line every two seconds
"""

import time
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 2.0


def say(line: str) -> None:
    """Print a line at once, also where output is buffered."""
    print(line, flush=True)


class Progress:
    """Lines such as `companies   120 found · 31 of 84 lists · 6 s`."""

    def __init__(self, name: str, tell: Callable[[str], None] = say) -> None:
        self.name = name
        self.tell = tell
        self.began = self.told = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def show(self, *facts: str, last: bool = False) -> None:
        """Tell the facts, if two seconds have passed since the last line (always if `last`)."""
        now = time.monotonic()
        if last or now - self.told >= SECONDS_BETWEEN_LINES:
            self.told = now
            self.tell(f"{self.name:<11} " + " · ".join([*facts, f"{self.seconds:.0f} s"]))
