"""What the operator of the page sets, by environment variables.

base_url()          # "/", or STARWISE_BASE_URL with a slash at both ends
allowed_origins()   # STARWISE_ALLOW_ORIGIN as a regular expression
"""

import os
import re
from pathlib import Path

from starwise.errors import StarwiseError
from starwise.paths import project_root

# What the page's kernels, which strangers talk to, must not know.
SECRETS = ("DATABASE_URL", "STARWISE_ADMIN_TOKEN", "PGPASSWORD")


class PageError(StarwiseError):
    """The page cannot be served as asked."""


def dashboard_notebook() -> Path:
    """Return the notebook that is the page; raises `PageError` where there is none."""
    notebook = project_root() / "notebooks" / "05_dashboard.ipynb"
    if not notebook.is_file():
        raise PageError(f"there is no notebook {notebook}: run this from the project's folder.")
    return notebook


def base_url() -> str:
    """Return STARWISE_BASE_URL as a path that begins and ends with a slash ("/" without it)."""
    path = os.environ.get("STARWISE_BASE_URL", "").strip("/")
    if not re.fullmatch(r"[\w.~/-]*", path):
        raise PageError("STARWISE_BASE_URL is not a path such as /reviews/.")
    return f"/{path}/" if path else "/"


def allowed_origins() -> str:
    """Return STARWISE_ALLOW_ORIGIN as a regular expression, empty without it."""
    given = os.environ.get("STARWISE_ALLOW_ORIGIN", "")
    origins = [origin.strip().rstrip("/").lower() for origin in given.split(",") if origin.strip()]
    for origin in origins:
        if not re.fullmatch(r"https?://[^/\s]+", origin):
            raise PageError(
                f"STARWISE_ALLOW_ORIGIN holds {origin!r}, which is no origin such as "
                "https://reviews.example."
            )
    return f"^(?:{'|'.join(map(re.escape, origins))})$" if origins else ""


def whole_number(name: str, default: int, least: int) -> int:
    """Return an environment variable as a whole number of at least `least`."""
    given = os.environ.get(name) or str(default)
    if not given.isdecimal() or int(given) < least:
        raise PageError(f"{name} is {given!r}, and must be a whole number from {least} up.")
    return int(given)
