"""Pages that were read already, kept for a day, so that a rerun asks a site for nothing twice.

kept = PageCache(folder)
kept.put(url, html)
kept.get(url)       # the text of the page, or None

A request, the browser and the spider all keep their pages here. A page is kept after it was read,
never before: a page that asks to log in must not come back tomorrow.
"""

import gzip
import hashlib
import time
from pathlib import Path

from starwise.paths import whole_file

HOURS = 24


class PageCache:
    """A folder of pages by address; without a folder it keeps nothing."""

    def __init__(self, folder: Path | str | None, hours: float = HOURS) -> None:
        self.folder = Path(folder) if folder else None
        self.hours = hours

    def get(self, url: str) -> str | None:
        """Return the text of a page that was kept lately, else None."""
        if self.folder is None:
            return None
        path = self._path(url)
        try:
            if time.time() - path.stat().st_mtime > self.hours * 3600:
                path.unlink()
                return None
            kept, _, text = gzip.decompress(path.read_bytes()).decode().partition("\n")
        except (OSError, EOFError, ValueError):
            return None
        return text if kept == url else None

    def put(self, url: str, text: str) -> None:
        if self.folder is not None:
            with whole_file(self._path(url)) as temporary:
                # A lone surrogate has no UTF-8; such a page is kept with a mark in its place.
                whole = f"{url}\n{text}".encode("utf-8", "replace")
                temporary.write_bytes(gzip.compress(whole, compresslevel=3, mtime=0))

    def _path(self, url: str) -> Path:
        name = hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.gz"
