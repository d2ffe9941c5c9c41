"""Voila as the dashboard needs it: one notebook, one cell of it shown, nothing else reachable.

python -m starwise.dashboard.voila_app --port 8866 notebooks/05_dashboard.ipynb

Started by `starwise dashboard`; see `DashboardApp` for what differs from plain Voila.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from jupyter_server.services.contents.largefilemanager import LargeFileManager
from nbformat.v4 import new_code_cell
from tornado.web import HTTPError
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import (
    VoilaKernelWebsocketHandler,
    read_header_from_binary_message,
)

from starwise.paths import Outputs
from starwise.serving import stop_with_parent

TEMPLATES = Path(__file__).parent / "template"
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
        return [(rule[0], ours.get(rule[1], rule[1]), *rule[2:]) for rule in handlers]


def configuration(port: int, host: str) -> Config:
    """Return Voila's settings for visitors who are strangers."""
    config = Config()
    config.Voila.update(
        port=port,
        ip=host,
        port_retries=0,
        open_browser=False,
        config_file_paths=[],  # the machine's own Voila settings are for other pages
        log_level="WARN",
        tornado_settings={
            "headers": {
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "same-origin",
            }
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


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="starwise.dashboard.voila_app")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--stop-with-parent", action="store_true")
    args = parser.parse_args(argv)
    if args.stop_with_parent:
        stop_with_parent()
    paths = [str(TEMPLATES), os.environ.get("JUPYTER_PATH", "")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    app = DashboardApp(config=configuration(args.port, args.host))
    app.initialize([str(args.notebook)])
    app.start()


if __name__ == "__main__":
    main(sys.argv[1:])
