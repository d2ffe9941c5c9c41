"""The page's scripts and styles, compressed once, at an address that changes when they do.

assets = Assets()
assets.path                     # "assets/3f9a1c04/": browsers may keep what is below it for ever
assets.find("form.js")          # Asset(kind="text/javascript", plain=b"...", packed=b"...")
"""

import gzip
import hashlib
from dataclasses import dataclass

from tornado.web import HTTPError, RequestHandler

from starwise.dashboard.form import STATIC, script, stylesheet

YEAR = 31_536_000  # seconds


@dataclass(frozen=True)
class Asset:
    kind: str
    plain: bytes
    packed: bytes  # gzip


class Assets:
    """What the page loads: the form, the page's own script, the styles."""

    def __init__(self) -> None:
        texts = {
            "form.js": ("text/javascript", script()),
            "page.js": ("text/javascript", (STATIC / "page.js").read_text("utf-8")),
            "starwise.css": ("text/css", stylesheet()),
        }
        self._found = {
            name: Asset(kind, text.encode(), gzip.compress(text.encode(), 9))
            for name, (kind, text) in texts.items()
        }
        digest = hashlib.sha256(b"".join(asset.plain for asset in self._found.values()))
        self.path = f"assets/{digest.hexdigest()[:8]}/"

    def find(self, name: str) -> Asset | None:
        return self._found.get(name)


class AssetHandler(RequestHandler):
    """Serves the assets from memory."""

    def initialize(self, assets: Assets) -> None:
        self.assets = assets

    def get(self, name: str) -> None:
        asset = self.assets.find(name)
        if asset is None:
            raise HTTPError(404)
        self.set_header("Content-Type", f"{asset.kind}; charset=utf-8")
        self.set_header("Cache-Control", f"public, max-age={YEAR}, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Vary", "Accept-Encoding")
        if "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.write(asset.packed)
        else:
            self.write(asset.plain)

    def compute_etag(self) -> None:
        return None  # the address itself names the version
