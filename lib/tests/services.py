"""A `starwise api` process of its own, for tests of what only a real one shows."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running_service(database: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Give the address of a service on `database`, and its process; its output is in `.said`."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "starwise", "api", "--port", "0", "--stop-with-parent"],
        env={**os.environ, "DATABASE_URL": database, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    process.said = []
    try:
        for line in process.stdout:
            process.said.append(line)
            if "The service answers at " in line:
                break
        else:
            raise AssertionError("the service did not start: " + "".join(process.said))
        yield line.split(" at ")[1].strip(), process
    finally:
        process.terminate()
        process.said.append(process.communicate(timeout=30)[0])


def until(ready, seconds: float = 30.0):
    """Return what `ready` answers as soon as that is something; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found
