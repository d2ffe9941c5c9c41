"""The pages of the practice site: a small review site over a world, safe to scrape.

app = make_site(make_world())          # an ASGI application, for uvicorn or a test client
"""

import hashlib
from pathlib import Path
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse
from starlette.responses import Response as AnyResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from starwise.logos import monogram
from starwise.practice.directory import STAR_WORDS, Directory
from starwise.practice.world import World

REVIEWS_A_PAGE = 20
# Few companies a page, so that many lists go on to a next page; more where lists are long.
COMPANIES_A_PAGE = 2
LONGEST_LIST_PAGES = 3

HERE = Path(__file__).parent
# The edition tells worlds apart: a collector that was cut off goes on only in the same one.
ROBOTS = """\
# Edition: {edition}
# Everything on the practice site may be read by a program, but for one small corner.
User-agent: *
Disallow: /private/
Allow: /
"""


def make_site(world: World) -> Starlette:
    """Return the site that shows `world`."""
    pages = Pages(Directory(world))
    robots = ROBOTS.format(edition=edition_of(world))
    routes = [
        Route("/", pages.home),
        Route("/categories", pages.categories),
        Route("/categories/{sub_category}", pages.sub_category),
        Route("/review/{company}", pages.review),
        Route("/api/companies", pages.api_companies),
        Route("/logos/{company}.svg", pages.logo),
        Route("/private/", pages.private),
        Route("/robots.txt", lambda request: PlainTextResponse(robots)),
        Route("/favicon.ico", lambda request: FileResponse(HERE / "static" / "favicon.svg")),
        Mount("/static", _Lasting(directory=HERE / "static")),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: pages.not_found})


def edition_of(world: World) -> str:
    """Return a digest of all that the site shows: another world, another edition."""
    digest = hashlib.sha256()
    for company in world.companies:
        digest.update(f"\0{company.slug}\0{company.category}\0{company.sub_category}".encode())
    for review in world.reviews:
        words = f"\0{review.id}\0{review.company}\0{review.rating}\0{review.title}\0{review.text}"
        digest.update(words.encode("utf-8", "replace"))
    return digest.hexdigest()[:16]


class Pages:
    """One method a page. The world never changes, so a page is a function of its address."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # a template is compiled once and not looked at again
        )
        self.templates.globals.update(
            star_words=STAR_WORDS,
            company_count=len(directory.companies),
            review_count=sum(standing.count for standing in directory.standings.values()),
            category_count=len(directory.categories),
        )
        self.templates.filters.update(exact=exact, web_address=web_address, path=quote)
        # The first page's best companies: enough reviews to mean something, then the best mean.
        self.best = sorted(
            directory.companies.values(),
            key=lambda company: self._worth(directory.standings[company.slug]),
            reverse=True,
        )[:6]

    async def home(self, request: Request) -> AnyResponse:
        return self._page("home.html", directory=self.directory, best=self.best)

    async def categories(self, request: Request) -> AnyResponse:
        return self._page("categories.html", directory=self.directory)

    async def sub_category(self, request: Request) -> AnyResponse:
        place = self._found(self.directory.sub_categories, request.path_params["sub_category"])
        return self._page("sub_category.html", place=place)

    async def api_companies(self, request: Request) -> AnyResponse:
        place = self._found(
            self.directory.sub_categories, request.query_params.get("sub_category", "")
        )
        a_page = max(COMPANIES_A_PAGE, _pages(len(place.companies), LONGEST_LIST_PAGES))
        page, last = _page_number(request), _pages(len(place.companies), a_page)
        shown = place.companies[(page - 1) * a_page : page * a_page]
        cards = [self._card(company) for company in shown]
        return JSONResponse({"page": page, "pages": last, "companies": cards})

    async def review(self, request: Request) -> AnyResponse:
        company = self._found(self.directory.companies, request.path_params["company"])
        reviews = self.directory.world.reviews_of(company.slug)
        page, last = _page_number(request), _pages(len(reviews), REVIEWS_A_PAGE)
        if page > last:
            raise HTTPException(404)
        return self._page(
            "review.html",
            company=company,
            place=self.directory.place_of(company),
            standing=self.directory.standings[company.slug],
            reviews=reviews[(page - 1) * REVIEWS_A_PAGE : page * REVIEWS_A_PAGE],
            page=page,
            last=last,
        )

    async def logo(self, request: Request) -> AnyResponse:
        company = self._found(self.directory.companies, request.path_params["company"])
        return AnyResponse(monogram(company.name), media_type="image/svg+xml")

    async def private(self, request: Request) -> AnyResponse:
        return self._page("private.html")

    async def not_found(self, request: Request, error: Exception) -> AnyResponse:
        return self._page("not_found.html", status=getattr(error, "status_code", 404))

    def _page(self, template: str, status: int = 200, **values: object) -> HTMLResponse:
        return HTMLResponse(
            self.templates.get_template(template).render(**values), status_code=status
        )

    def _card(self, company) -> dict[str, object]:
        standing = self.directory.standings[company.slug]
        return {
            "name": company.name,
            "url": f"/review/{quote(company.slug)}",
            "logo": f"/logos/{quote(company.slug)}.svg",
            "tagline": company.tagline,
            "stars": standing.rounded,
            "mean": round(standing.mean, 1),
            "reviews": standing.count,
        }

    @staticmethod
    def _worth(standing) -> tuple[bool, float]:
        return standing.count >= REVIEWS_A_PAGE, standing.mean

    @staticmethod
    def _found(table: dict, slug: str):
        if slug not in table:
            raise HTTPException(404)
        return table[slug]


class _Lasting(StaticFiles):
    """Files that a browser may keep for an hour: one that visits many pages asks for them once."""

    def file_response(self, *args, **options) -> AnyResponse:
        answer = super().file_response(*args, **options)
        answer.headers["Cache-Control"] = "max-age=3600"
        return answer


def exact(text: str) -> Markup:
    """Return `text` as markup that reads back to the letter.

    HTML turns a bare carriage return into a line feed, and has no way to write NUL.
    """
    return Markup(
        str(escape(text)).replace("\r", "&#13;").replace("\0", "\N{REPLACEMENT CHARACTER}")
    )


def web_address(website: str) -> str:
    """Return `website` if it may stand in a link, else "" (a corpus may hold `javascript:`)."""
    return website if urlsplit(website).scheme in ("http", "https") else ""


def _page_number(request: Request) -> int:
    text = request.query_params.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text) > 0):
        raise HTTPException(404)
    return int(text)


def _pages(rows: int, rows_a_page: int) -> int:
    return max(1, -(-rows // rows_a_page))
