"""A process that has everything a visitor's kernel needs imported, and forks itself into kernels.

python -m starwise.dashboard.forkserver     # then a line of JSON on its standard input a kernel:
{"argv": ["-f", "kernel-1.json"], "env": {...}, "cwd": "/somewhere"}        # answered with a pid

A kernel made in this way starts in the time of a fork instead of a second of imports, and shares
the memory of what was imported with all others. (CPython's "forkserver" start method of
multiprocessing is the same idea.) It ends, with all its kernels, when its standard input closes.
"""

import contextlib
import gc
import json
import os
import signal
import sys

# Imported and not used: what a kernel would import on its own, before it can show the page. None
# of it starts a thread or opens a socket, which a fork would not survive.
PREPARED = (
    "starwise.dashboard.kernel",
    "IPython.core.completerlib",
    "IPython.core.magics",
    "IPython.extensions.storemagic",
    "comm",
    "anywidget",
    "starwise.dashboard.view",
    "starwise.dashboard.brands",
    "encodings.idna",  # at the first connection
)


def main() -> None:
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a kernel prints goes to the log, and not among the answers
    prepare()
    children: set[int] = set()

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                children.discard(pid)

    signal.signal(signal.SIGCHLD, reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started us
    while line := requests.readline():
        pid = os.fork()
        if pid == 0:
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            answers.close()
            become_kernel(**json.loads(line))
        children.add(pid)
        answers.write(b"%d\n" % pid)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def prepare() -> None:
    """Import what kernels need, and keep the garbage collector from touching it ever again."""
    import importlib

    # Nobody debugs a page, and each kernel would import the debugger for itself.
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    for name in PREPARED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from starwise.dashboard.brands import load_brands
    from starwise.paths import Outputs

    load_brands(Outputs.default())
    gc.collect()
    gc.freeze()  # a collection writes to every object it looks at, and what is written is copied


def become_kernel(argv: list[str], env: dict[str, str], cwd: str) -> None:
    """Turn this process, freshly forked, into an IPython kernel; does not return."""
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        argv = [*argv, f"--PageKernelApp.parent_handle={os.getppid()}"]  # it ends with its parent
        sys.argv = ["ipykernel_launcher", *argv]
        from starwise.dashboard.kernel import PageKernelApp

        app = PageKernelApp.instance()
        app.initialize(argv)
        app.start()
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
