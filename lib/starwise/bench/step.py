"""One notebook as a batch run does it, kernel and all, watched from outside.

took, peak = run_step(2, outputs, "--corpus", "reviews.parquet")     # seconds, bytes
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def run_step(number: int, outputs: Path, *options: str) -> tuple[float, int]:
    """Run a notebook alone; return its seconds, and the most bytes that its processes held.

    What several processes share (a library, a browser's code) counts for each of them.
    """
    command = ["-P", "-m", "starwise", "run", "--from", str(number), "--to", str(number)]
    process = subprocess.Popen(
        [sys.executable, *command, *options],
        env={**os.environ, "STARWISE_OUTPUTS": str(outputs)},
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    start = time.perf_counter()
    peak = most_held(process, _resident, pause=0.05)
    if process.returncode:
        raise RuntimeError(f"notebook {number:02} failed; its copy is in {outputs}/notebooks")
    return time.perf_counter() - start, peak


def most_held(
    process: subprocess.Popen, held: Callable[[psutil.Process], int], pause: float
) -> int:
    """Wait for the end of a process; return the most bytes that it and its children held at once.

    held: bytes of one process; pause: seconds between two looks, which take time of their own.
    """
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            peak = max(peak, sum(map(held, [watched, *watched.children(recursive=True)])))
        time.sleep(pause)
    return peak


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it has just ended
        return 0
