"""The dashboard: visitors review a brand and see how their words sound while they write.

from starwise.dashboard import open_dashboard
open_dashboard("../outputs")        # in a notebook: the page itself
"""

from pathlib import Path
from typing import Any


def open_dashboard(outputs: str | Path | None = None) -> Any:
    """Return the page as a widget, for the brands collected in the folder `outputs`.

    Scores and saves through the service at STARWISE_API_URL, or in this process without one.
    """
    from starwise.dashboard.brands import load_brands
    from starwise.dashboard.client import make_client
    from starwise.dashboard.view import DashboardView
    from starwise.paths import Outputs

    run = Outputs(Path(outputs)) if outputs else Outputs.default()
    return DashboardView(make_client(run), load_brands(run)).box
