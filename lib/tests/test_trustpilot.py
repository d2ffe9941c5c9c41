"""From the categories to the table on a site with Trustpilot's pages: ours, in several shapes."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from starwise.collect.reviews import read_reviews

PAGES = Path(__file__).parent / "pages"


def page(name: str, *changes: tuple[str, str]) -> str:
    html = (PAGES / f"{name}.html").read_text("utf-8")
    for old, new in changes:
        assert old in html
        html = html.replace(old, new)
    return html


# Which of our saved pages lies where; each company has pages of another year.
SITE = {
    "/categories": page("categories-2024-data"),
    "/categories/pens": page("companies-2020-data", ('Businesses": 3', 'Businesses": 2')),
    "/categories/ink": page("companies-2024-data", ('"totalPages": 4', '"totalPages": 3')),
    "/categories/ink?page=3": page("companies-attributes", ('href="/categories/pens?page=2"', "")),
    "/categories/nails": page("companies-attributes", ('href="/categories/pens?page=2"', "")),
    "/review/one.example": page("review-2026-data", ('"totalCount": 5', '"totalCount": 8')),
    "/review/one.example?page=2": page("review-2021-data"),
    "/review/two.example": page("review-attributes", ("Bewertungen 1.203", "Bewertungen 3")),
    "/review/nib.example": page("review-2019", ("1,046", "5"), ("next-page", "no-page")),
    "/review/ink.example": page("review-2018", ("1 203", "3"), ("next-page", "no-page")),
    "/review/ink.example/en": page(
        "review-summary",
        ('"reviewCount": "41"', '"reviewCount": "3"'),
        (' href="/review/velo.example?page=2"', ""),
    ),
}
# In the order of the lists, with the saved pages that are each company's.
COMPANIES = {
    "one.example": ["review-2026-data", "review-2021-data"],
    "two.example": ["review-attributes"],
    "nib.example": ["review-2019"],
    "ink.example/en": ["review-summary"],
    "ink.example": ["review-2018"],
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = SITE.get(self.path)
        body = (text or "User-agent: *\n").encode()
        self.send_response(200 if text or self.path == "/robots.txt" else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def expected(name: str) -> dict:
    return json.loads((PAGES / f"{name}.json").read_text("utf-8"))


def cards(name: str) -> list[tuple[str, int]]:
    """Text and stars of the cards of a saved page that have both."""
    told = expected(name)["cards"]
    return [(one["text"], one["stars"]) for one in told if one["text"] and one["stars"]]


@pytest.mark.browser
@pytest.mark.slow
def test_notebook_01_collects_a_site_with_trustpilots_pages_of_five_years(tmp_path):
    with served() as url:
        values = {"site": "trustpilot", "address": url, "companies": 12, "reviews": 300}
        pairs = [("-p", f"01.{name}", str(value)) for name, value in values.items()]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "starwise", "run", "--to", "1", *sum(pairs, ())],
            env={**os.environ, "STARWISE_OUTPUTS": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    names = pd.read_csv(tmp_path / "companies.csv")["company_url"].str.split("/review/").str[1]
    assert names.tolist() == list(COMPANIES)
    reviews = read_reviews(tmp_path / "reviews.csv")
    pages = [name for its_pages in COMPANIES.values() for name in its_pages]
    told = [tuple(row) for row in reviews[["comment", "rating"]].itertuples(index=False)]
    assert told == [card for name in pages for card in cards(name)]
    firms = reviews["company_name"].unique().tolist()
    assert firms == [expected(name)["company"] for name in pages]
    assert reviews["company_website"].str.startswith("https://").all()
    assert reviews["company_logo"].str.match("https?://logos.example/").all()
    coverage = json.loads((tmp_path / "coverage.json").read_text("utf-8"))
    assert coverage["coverage"] == 1 and not any(one["why"] for one in coverage["companies"])
    assert [one["without_stars"] for one in coverage["companies"]] == [3, 0, 2, 1, 0]
