"""A visitor's kernel: IPython's, less what costs time at every letter and nobody looks at.

PageKernelApp.instance().initialize(["-f", "kernel-1.json"])

It answers one page, which sends messages of its form and wants news of it. Between the two, an
IPython kernel would wake two more threads, tell twice that it is busy and twice that it is idle,
and write down each step for a log that drops it.
"""

from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from traitlets import default

COMM = {"comm_open", "comm_msg", "comm_close"}


class PageKernel(IPythonKernel):
    """Says that it is busy or idle only when it was asked to run something."""

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        asked = parent or self.get_parent(channel) or {}
        if asked.get("msg_type") not in COMM:
            super()._publish_status(status, channel, parent)


class PageKernelApp(IPKernelApp):
    """Reads its messages in the thread that answers them, and prints where its parent prints."""

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
