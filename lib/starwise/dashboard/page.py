"""`starwise page`: the page alone, for a service that runs somewhere else.

STARWISE_API_URL=http://api:8000 starwise page --host 0.0.0.0 --port 8866

It needs neither torch nor a database: scores and reviews go to the service. Behind a reverse proxy
STARWISE_BASE_URL names the path that it is reached at, and STARWISE_ALLOW_ORIGIN the origins
(`https://reviews.example`, several with commas) whose pages may speak to it besides its own.
STARWISE_VISITORS says how many may be there at once; the next one reads that it is busy.
"""

import argparse
import os
from pathlib import Path

from starwise.dashboard.settings import (
    SECRETS,
    PageError,
    allowed_origins,
    base_url,
    dashboard_notebook,
    whole_number,
)
from starwise.serving import listening_socket, stop_with_parent

TEMPLATES = Path(__file__).parent / "template"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8866, help="TCP port; 0 chooses a free one")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to other machines")
    # For the launcher of the dashboard: end when standard input closes.
    parser.add_argument("--stop-with-parent", action="store_true", help=argparse.SUPPRESS)


def main(args: argparse.Namespace) -> int:
    if args.stop_with_parent:
        stop_with_parent()
    if not os.environ.get("STARWISE_API_URL"):
        raise PageError(
            "set STARWISE_API_URL to the address of the service, such as http://127.0.0.1:8000 "
            "(`starwise dashboard` starts both)."
        )
    notebook, at, origins = dashboard_notebook(), base_url(), allowed_origins()
    most_visitors = whole_number("STARWISE_VISITORS", default=50, least=1)
    preheated = whole_number("STARWISE_PREHEATED", default=1, least=0)
    for secret in SECRETS:
        os.environ.pop(secret, None)
    paths = [str(TEMPLATES), os.environ.get("JUPYTER_PATH", "")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    with listening_socket(args.host, args.port) as bound:
        # Voila takes a second to import: not before the port is known to be ours.
        from starwise.dashboard.voila_app import DashboardApp, configuration

        app = DashboardApp(config=configuration(at, origins, most_visitors, preheated))
        app.initialize([str(notebook)])
        app.serve(bound, f"The page is at http://{args.host}:{bound.getsockname()[1]}{at}")
    return 0
