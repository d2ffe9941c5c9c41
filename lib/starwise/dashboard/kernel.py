"""A visitor's kernel: IPython's, less what costs time at every letter and nobody looks at.

PageKernelApp.instance().initialize(["-f", "kernel-1.json"])

It answers one page, which sends messages of its form and wants news of it. Between the two, an
IPython kernel would wake three more threads, tell twice that it is busy and twice that it is idle,
and write down each step for a log that drops it.
"""

from types import SimpleNamespace
from typing import Any

import zmq
from ipykernel.iostream import IOPubThread
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from tornado.ioloop import IOLoop
from traitlets import default

COMM = {"comm_open", "comm_msg", "comm_close"}


class PageKernel(IPythonKernel):
    """Says that it is busy or idle only when it was asked to run something."""

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        asked = parent or self.get_parent(channel) or {}
        if asked.get("msg_type") not in COMM:
            super()._publish_status(status, channel, parent)


class Publisher(IOPubThread):
    """Sends what there is to publish at once, in the thread that has it."""

    def start(self) -> None:
        """Start no thread: without one, ipykernel itself sends at once."""


class PageKernelApp(IPKernelApp):
    """Reads and sends its messages in the thread that answers them; prints where its parent does.

    A socket may be used by one thread only: so this one also listens to who stops the kernel.
    """

    @default("kernel_class")
    def _page_kernel(self) -> type[PageKernel]:
        return PageKernel

    @default("outstream_class")
    def _no_stream(self) -> None:
        return None  # what a kernel prints is for the log, and not for the page

    @default("logging_config")
    def _log_no_more_than_is_shown(self) -> dict[str, Any]:
        return {"loggers": {type(self).__name__: {"level": "WARNING"}}}

    def init_control(self, context: Any) -> None:
        super().init_control(context)
        # Subshells are for cells that run beside others; a page has one cell, and it has run.
        self.shell_channel_thread = None
        self.control_thread = SimpleNamespace(
            io_loop=IOLoop.current(), start=lambda: None, is_alive=lambda: False
        )

    def init_iopub(self, context: Any) -> None:
        # Not XPUB, as ipykernel's own: nobody is to be welcomed.
        socket = context.socket(zmq.PUB)
        socket.linger = 1000  # ms
        self.iopub_port = self._bind_socket(socket, self.iopub_port)
        self.iopub_thread = Publisher(socket, session=self.session)
        self.iopub_socket = self.iopub_thread.background_socket
