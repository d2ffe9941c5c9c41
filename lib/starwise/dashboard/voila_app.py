"""Voila as the dashboard needs it: one notebook, one cell of it shown, nothing else reachable.

app = DashboardApp(config=configuration())
app.initialize(["notebooks/05_dashboard.ipynb"])
app.serve(listening_socket("127.0.0.1", 8866), "...")     # see page.py
"""

import os
from socket import socket
from typing import Any

from jupyter_server.services.contents.largefilemanager import LargeFileManager
from jupyter_server.services.kernels.handlers import _kernel_id_regex as KERNEL_ID
from nbformat.v4 import new_code_cell
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler, authenticated
from traitlets.config import Config
from voila.app import Voila
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.tornado.handler import TornadoVoilaHandler

from starwise.dashboard.assets import AssetHandler, Assets
from starwise.dashboard.kernels import SERVER, use_forks
from starwise.dashboard.websocket import PageWebsocket
from starwise.paths import Outputs

SHOWN = "dashboard"  # tag of the cell that is run and shown as the page

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # Even if markup of somebody's ever reached the page, it could neither run nor send anything.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    ),
}


class PageContents(LargeFileManager):
    """Reads the notebook as the page: only the cell tagged for it, so that no lesson runs.

    The cell finds its parameter set to the outputs folder of this run, as papermill would do it.
    """

    def get(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        model = super().get(*args, **kwargs)
        if model["type"] == "notebook" and model["content"] is not None:
            cells = model["content"]["cells"]
            shown = [cell for cell in cells if SHOWN in cell["metadata"].get("tags", ())]
            # One cell and not two: each is a journey to the kernel and back.
            code = [f"outputs = {str(Outputs.default().root)!r}", *(c["source"] for c in shown)]
            model["content"]["cells"] = [new_code_cell("\n".join(code))]
        return model

    def mark_trusted_cells(self, nb: Any, path: str = "") -> None:
        """Ask for no signature: it vouches for stored outputs, and none of these is shown."""


class PageHandler(TornadoVoilaHandler):
    """Serves the page, only at the root, and only while there is room for one more visitor."""

    opening = 0  # visitors whose kernel is being made

    async def prepare(self) -> None:
        await super().prepare()
        # Reading the token sets its cookie. Without it the page's farewell is refused, and the
        # kernel of every closed tab stays behind.
        _ = self.xsrf_token

    @authenticated
    async def get(self, path: str | None = None) -> None:
        if path or self.request.query:  # no parameter means anything here, so none is taken
            raise HTTPError(404)
        if self._visitors() >= self.settings["most_visitors"]:
            raise HTTPError(503)
        PageHandler.opening += 1
        opening = True
        try:
            async for piece in self.get_generator():
                if opening:  # from here on this visitor has a kernel, which counts
                    PageHandler.opening -= 1
                    opening = False
                self.write(piece)
                self.flush()
        finally:
            PageHandler.opening -= opening
        if self.voila_configuration.preheat_kernel:
            # Also after a failure emptied the pool.
            self.kernel_manager.fill_if_needed(notebook_name=self.notebook_path)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if status_code == 503:
            self.set_header("Retry-After", "20")  # seconds
        super().write_error(status_code, **kwargs)

    def _visitors(self) -> int:
        """Return how many visitors are here: kernels less those that wait for somebody."""
        pool = getattr(self.kernel_manager, "_pools", {}).get(self.notebook_path, ())
        waiting = sum(kernel.done() for kernel in pool)
        return len(self.kernel_manager.list_kernel_ids()) - waiting + PageHandler.opening


class HealthHandler(RequestHandler):
    """Says that the page is there, for whoever watches over it."""

    def get(self) -> None:
        self.write({"page": "up"})


class VisitorHandler(RequestHandler):
    """Tells a page that lost its connection whether its kernel still lives."""

    def get(self, kernel_id: str) -> None:
        self.set_status(204 if kernel_id in self.settings["kernel_manager"] else 404)


class DashboardApp(Voila):
    """Voila with our handlers and contents in the place of its own."""

    def init_settings(self) -> dict[str, Any]:
        settings = super().init_settings()
        self.contents_manager = settings["contents_manager"] = PageContents(parent=self)
        return settings

    def init_handlers(self) -> list[Any]:
        # Voila's own list also serves themes, extensions, templates and files; the page uses none.
        page = {
            "notebook_path": os.path.relpath(self.notebook_path, self.root_dir),
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
        }
        rules = [
            ("health", HealthHandler),
            (r"assets/[0-9a-f]{8}/([\w.]+)", AssetHandler, {"assets": ASSETS}),
            (rf"visitors/{KERNEL_ID}", VisitorHandler),
            (rf"api/kernels/{KERNEL_ID}/channels", PageWebsocket),
            (rf"voila/api/shutdown/{KERNEL_ID}", VoilaShutdownKernelHandler),
            ("(.*)", PageHandler, page),
        ]
        return [(self.server_url + rule[0], *rule[1:]) for rule in rules]

    def serve(self, bound: socket, greeting: str) -> None:
        """Serve on an open socket until SIGTERM or Ctrl-C; the greeting is printed once it is."""
        self._bound, self._greeting = bound, greeting
        SERVER.start()
        try:
            self.start()
        finally:
            SERVER.stop()

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


ASSETS = Assets()


def configuration(
    base_url: str = "/", origins: str = "", most_visitors: int = 50, preheated: int = 0
) -> Config:
    """Return Voila's settings for visitors who are strangers.

    `base_url` is the path that the page is reached at; `origins`, a regular expression, names
    further origins that may speak to it; `preheated` kernels wait for the next visitors.
    """
    config = Config()
    config.Voila.update(
        base_url=base_url,
        server_url=base_url,
        open_browser=False,
        config_file_paths=[],  # the machine's own Voila settings are for other pages
        log_level="WARN",
        # Or it would make a record of every message, for its handlers to drop.
        logging_config={"loggers": {"DashboardApp": {"level": "WARN"}}},
        tornado_settings={
            "allow_origin_pat": origins,
            "headers": HEADERS,
            "compress_response": True,
            "most_visitors": most_visitors,
            "websocket_max_message_size": 256 * 1024,  # bytes: the longest text, and some
        },
    )
    config.VoilaConfiguration.update(
        template="starwise",
        allow_template_override="NO",
        allow_theme_override="NO",
        file_allowlist=[],
        extension_allowlist=[],
        page_config_hook=_page_config,
        preheat_kernel=preheated > 0,
        default_pool_size=preheated,
    )
    # Kernels are reached through sockets in a private folder, not through ports that everybody on
    # this machine can try. /tmp, because the path of a socket must be short.
    config.KernelManager.transport = "ipc"
    config.Voila.connection_dir_root = "/tmp"
    config.KernelProvisionerFactory.default_provisioner_name = use_forks()
    # A kernel that dies takes a visitor's state with it; another one in its place would not have
    # it. So its page is told, and opens anew.
    config.KernelRestarter.update(restart_limit=0, time_to_dead=1.0)  # seconds between looks
    # Seconds. A kernel without a page is stopped, should its farewell have been lost; a page that
    # comes back later than that opens anew, with its draft.
    config.MappingKernelManager.update(cull_idle_timeout=20, cull_interval=5)
    # What passes is counted out in websocket.py; how much, by the letters that somebody types.
    config.ZMQChannelsWebsocketConnection.limit_rate = False
    config.VoilaKernelManager.fill_delay = 0.5  # seconds: the visitor who took one goes first
    return config


def _page_config(page_config: dict[str, Any], *, base_url: str, **_: Any) -> dict[str, Any]:
    page_config["starwiseAssets"] = base_url + ASSETS.path
    return page_config
