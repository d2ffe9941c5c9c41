"""Visitors' kernels: forked from a prepared process, and not more of them than there is room for.

config.KernelProvisionerFactory.default_provisioner_name = use_forks()

To Jupyter a `ForkProvisioner` is one more way to launch a kernel, beside its own local one:
https://jupyter-client.readthedocs.io/en/stable/provisioning.html
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

NAME = "starwise-fork"
# Flags that spare what a visitor's kernel never uses.
LEAN = (
    "--HistoryManager.enabled=False",
    "--InteractiveShellApp.exec_PYTHONSTARTUP=False",
    "--InteractiveShell.cache_size=0",
    "--InteractiveShell.enable_tip=False",
)


class ForkServer:
    """The prepared process; `fork` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs; it is ready when it answers its first request."""
        with self._lock:
            self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "starwise.dashboard.forkserver"],
                stdin=subprocess.PIPE,  # closes when we are gone, and ends it with its kernels
                stdout=subprocess.PIPE,
                start_new_session=True,
                # glibc would give each of a kernel's threads a heap of its own.
                env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            )
        return self._process

    def fork(self, argv: list[str], env: dict[str, str], cwd: str) -> int:
        """Return the process id of a new kernel."""
        request = json.dumps({"argv": argv, "env": env, "cwd": cwd}).encode() + b"\n"
        with self._lock:
            process = self._start()
            process.stdin.write(request)
            process.stdin.flush()
            answer = process.stdout.readline()
        if not answer:
            raise OSError("the process that forks kernels has ended")
        return int(answer)

    def stop(self) -> None:
        with self._lock:
            if self._process is None:
                return
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


SERVER = ForkServer()


class ForkedProcess:
    """Somebody else's child, with as much of Popen as a provisioner asks for."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._process: psutil.Process | None = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self._process = None

    def poll(self) -> int | None:
        """Return None while it runs, else 0: its exit status is its parent's to know."""
        with contextlib.suppress(psutil.NoSuchProcess):
            # is_running() tells it from another process that was given its number.
            if self._process and self._process.is_running():
                return 0 if self._process.status() == psutil.STATUS_ZOMBIE else None
        return 0

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (timeout or 5)
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return 0

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class ForkProvisioner(LocalProvisioner):
    """Launches a kernel by a fork of the prepared process."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        cwd = str(kwargs.get("cwd") or Path.cwd())
        # cmd: python -m ipykernel_launcher -f FILE
        argv = [*cmd[cmd.index("-f") :], *LEAN]
        env = {key: str(value) for key, value in kwargs["env"].items()}
        self.pid = self.pgid = await asyncio.to_thread(SERVER.fork, argv, env, cwd)
        self.process, self.cwd = ForkedProcess(self.pid), cwd
        return self.connection_info


def use_forks() -> str:
    """Make the provisioner known to Jupyter, and return its name."""
    value = f"{ForkProvisioner.__module__}:{ForkProvisioner.__qualname__}"
    # As an entry point of an installed package would be, without installing it.
    KernelProvisionerFactory.provisioners[NAME] = EntryPoint(
        NAME, value, KernelProvisionerFactory.GROUP_NAME
    )
    return NAME
