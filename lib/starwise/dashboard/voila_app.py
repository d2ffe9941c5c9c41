"""Voila as the dashboard needs it: one notebook, one cell of it shown, nothing else reachable.

app = DashboardApp(config=configuration())
app.initialize(["notebooks/05_dashboard.ipynb"])
app.serve(listening_socket("127.0.0.1", 8866), "...")     # see page.py
"""

import json
from socket import socket
from typing import Any

from jupyter_server.services.contents.largefilemanager import LargeFileManager
from nbformat.v4 import new_code_cell
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import (
    VoilaKernelWebsocketHandler,
    read_header_from_binary_message,
)

from starwise.paths import Outputs

SHOWN = "dashboard"  # tag of the cell that is run and shown as the page

# What a kernel prints is for the operator's log: it may hold tracebacks with paths and values.
_KEPT_FROM_VISITORS = {"stream", "error", "execute_input"}


class PageContents(LargeFileManager):
    """Reads the notebook as the page: only the cell tagged for it, so that no lesson runs.

    The cell finds its parameter set to the outputs folder of this run, as papermill would do it.
    """

    def get(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        model = super().get(*args, **kwargs)
        if model["type"] == "notebook" and model["content"] is not None:
            cells = model["content"]["cells"]
            shown = [cell for cell in cells if SHOWN in cell["metadata"].get("tags", ())]
            parameters = new_code_cell(f"outputs = {str(Outputs.default().root)!r}")
            model["content"]["cells"] = [parameters, *shown]
        return model


class PageHandler(TornadoVoilaHandler):
    """Serves the page, and only at the root."""

    async def prepare(self) -> None:
        await super().prepare()
        # Reading the token sets its cookie. Without it the page's farewell is refused, and the
        # kernel of every closed tab stays behind.
        _ = self.xsrf_token

    async def get(self, path: str | None = None) -> None:
        if path:
            raise HTTPError(404)
        await super().get(path)


class PageWebsocket(VoilaKernelWebsocketHandler):
    """Sends each message at once, and keeps what kernels print from visitors."""

    async def open(self, kernel_id: str) -> None:
        self.set_nodelay(True)
        await super().open(kernel_id)

    def write_message(self, message: Any, binary: bool = False) -> Any:
        if isinstance(message, bytes):
            header = read_header_from_binary_message(message)
        else:
            header = (json.loads(message) if isinstance(message, str) else message).get("header")
        if (header or {}).get("msg_type") in _KEPT_FROM_VISITORS:
            return None
        return super().write_message(message, binary)


class HealthHandler(RequestHandler):
    """Says that the page is there, for whoever watches over it."""

    def get(self) -> None:
        self.write({"page": "up"})


class DashboardApp(Voila):
    """Voila with our handlers and contents in the place of its own."""

    def init_settings(self) -> dict[str, Any]:
        settings = super().init_settings()
        self.contents_manager = settings["contents_manager"] = PageContents(parent=self)
        return settings

    def init_handlers(self) -> list[Any]:
        ours = {
            VoilaKernelWebsocketHandler: PageWebsocket,
            TornadoVoilaHandler: PageHandler,
        }
        handlers = super().init_handlers()
        return [
            (f"{self.server_url}health", HealthHandler),
            *((rule[0], ours.get(rule[1], rule[1]), *rule[2:]) for rule in handlers),
        ]

    def serve(self, bound: socket, greeting: str) -> None:
        """Serve on an open socket until SIGTERM or Ctrl-C; the greeting is printed once it is."""
        self._bound, self._greeting = bound, greeting
        self.start()

    def listen(self) -> None:
        # Voila's own would open a port by its number, which somebody else may have taken meanwhile.
        self._bound.setblocking(False)
        HTTPServer(self.app).add_socket(self._bound)
        self.port = self._bound.getsockname()[1]
        self.ioloop = IOLoop.current()
        print(self._greeting, flush=True)
        try:
            self.ioloop.start()
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()


def configuration(base_url: str = "/", origins: str = "") -> Config:
    """Return Voila's settings for visitors who are strangers.

    `base_url` is the path that the page is reached at; `origins`, a regular expression, names
    further origins that may speak to it.
    """
    config = Config()
    config.Voila.update(
        base_url=base_url,
        server_url=base_url,
        open_browser=False,
        config_file_paths=[],  # the machine's own Voila settings are for other pages
        log_level="WARN",
        tornado_settings={
            "allow_origin_pat": origins,
            "headers": {
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "same-origin",
            },
        },
    )
    config.VoilaConfiguration.update(
        template="starwise",
        allow_template_override="NO",
        allow_theme_override="NO",
        file_allowlist=[],
        # Only what the page draws with; the rest would be loaded by every visitor.
        extension_allowlist=[
            "@jupyter-widgets/jupyterlab-manager",
            "@voila-dashboards/widgets-manager8",
            "anywidget",
        ],
    )
    # Kernels are reached through sockets in a private folder, not through ports that everybody on
    # this machine can try. /tmp, because the path of a socket must be short.
    config.KernelManager.transport = "ipc"
    config.Voila.connection_dir_root = "/tmp"
    # Seconds. A kernel without a page is stopped, should its farewell have been lost.
    config.MappingKernelManager.update(cull_idle_timeout=120, cull_interval=30)
    return config
