"""The brands that visitors are asked about: those that were collected, else the practice site's.

brands = load_brands(Outputs.default())
brands[0].name, brands[0].website, brands[0].logo      # the logo is an image in a data: address
"""

import base64
import csv
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

from starwise.logos import monogram
from starwise.paths import Outputs
from starwise.service import BRAND_LIMIT


@dataclass(frozen=True)
class Brand:
    name: str
    website: str = ""  # empty, or an address that begins with http:// or https://

    @cached_property
    def logo(self) -> str:
        """A data: address of a drawing made from the name, so that no page elsewhere is asked."""
        drawing = base64.b64encode(monogram(self.name).encode()).decode()
        return f"data:image/svg+xml;base64,{drawing}"

    @cached_property
    def website_label(self) -> str:
        """The website as one says it: without scheme and www."""
        return urlsplit(self.website).netloc.removeprefix("www.")


@lru_cache(maxsize=1)
def practice_brands() -> tuple[Brand, ...]:
    """Return the companies of the practice site, which a first run would collect."""
    # Imported here: who has collected companies needs no invented ones.
    from starwise.practice.world import make_companies

    return tuple(Brand(company.name, company.website) for company in make_companies())


def load_brands(outputs: Outputs) -> tuple[Brand, ...]:
    """Return each company of the collected reviews once; without any, the practice site's."""
    try:
        when = os.stat(outputs.reviews).st_mtime_ns
    except OSError:
        when = 0
    return _read_brands(outputs, when)


@lru_cache(maxsize=1)
def _read_brands(outputs: Outputs, when: int) -> tuple[Brand, ...]:
    # Kept until the file changes (`when`): forked kernels find it read already.
    found: dict[str, Brand] = {}
    try:
        with open(outputs.reviews, encoding="utf-8-sig", newline="") as file:
            # Every visitor waits for this: a plain reader takes a third of a DictReader's time.
            rows = csv.reader(file)
            columns = next(rows)
            name_at, website_at = columns.index("company_name"), columns.index("company_website")
            for row in rows:
                if len(row) != len(columns):
                    continue  # a torn line
                name = row[name_at].strip()
                if name and name not in found and len(name) <= BRAND_LIMIT:
                    found[name] = Brand(name, _safe_website(row[website_at]))
    except (OSError, ValueError, StopIteration, csv.Error):
        # A dashboard without the collection, or beside a damaged one, still has something to ask.
        found = {}
    return tuple(found.values()) or practice_brands()


def _safe_website(address: str) -> str:
    """Return a web address, or nothing: a collected link may be anything (javascript:, data:)."""
    address = address.strip()
    if address and "://" not in address and ":" not in address:
        address = f"https://{address}"
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return address if parts.scheme in ("http", "https") and parts.netloc else ""
