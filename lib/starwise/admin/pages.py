"""The pages: signing in and out, the reviews with their numbers, deleting one, and the CSV.

app.mount("/admin", make_admin(store, token))

Addresses on the pages are relative, so that a proxy may put the service below any path.
"""

import logging
import math
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs

from anyio import CapacityLimiter, to_thread
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starwise.admin import charts, questions
from starwise.admin.export import csv_of
from starwise.admin.questions import FilterError, Filters, Place
from starwise.admin.sessions import Sessions
from starwise.limits import network
from starwise.store import Store, StoredReview, StoreError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HERE = Path(__file__).parent
COOKIE = "starwise_admin"
ROWS = 25  # reviews a page
ROWS_AT_ONCE = 1000  # of the CSV, between two questions to the database
ATTEMPTS = parse("10/15 minutes")  # wrong tokens from one address
AT_ONCE = 2  # questions of administrators; visitors' reviews need the other connections
PREVIEW = 600  # characters of a review that are shown unasked

# Nothing from elsewhere, no script at all, and no other page around ours.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


def make_admin(store: Store, token: str, attempts: RateLimitItem = ATTEMPTS) -> Starlette:
    """Return the pages over `store`, closed to everybody where `token` is empty.

    `attempts` is how many wrong tokens one address may try.
    """
    pages = _Pages(store, Sessions(token), attempts)
    if token:
        routes = [
            Route("/", pages.home),
            Route("/sign-in", pages.sign_in, methods=["POST"]),
            Route("/sign-out", pages.sign_out, methods=["POST"]),
            Route("/delete", pages.ask_to_delete),
            Route("/delete", pages.delete, methods=["POST"]),
            Route("/reviews.csv", pages.csv),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]
    else:
        routes = [Mount("/static", StaticFiles(directory=HERE / "static"))]
        routes += [Route("/{path:path}", pages.closed, methods=["GET", "POST"])]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Headers)],
        exception_handlers={
            StoreError: pages.failed,
            FilterError: pages.refused,
            HTTPException: pages.http_problem,
            Exception: pages.unforeseen,
        },
    )


class _Headers:
    """ASGI middleware: every answer carries `HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        await self.app(scope, receive, with_headers)


class _Pages:
    """One method a page."""

    def __init__(self, store: Store, sessions: Sessions, attempts: RateLimitItem) -> None:
        self.store, self.sessions, self.attempts = store, sessions, attempts
        self.limiter = MovingWindowRateLimiter(MemoryStorage())
        self.threads = CapacityLimiter(AT_ONCE)
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            undefined=StrictUndefined,
        )
        self.templates.globals.update(preview=PREVIEW, width=charts.WIDTH, height=charts.HEIGHT)
        self.templates.filters.update(moment=_moment, day=_day, signed=_signed)

    # -- Who is there

    def _note(self, request: Request) -> str:
        note = request.cookies.get(COOKIE, "")
        return note if self.sessions.knows(note) else ""

    def _sign_in_page(self, status: int, problem: str = "") -> HTMLResponse:
        return self._page("sign_in.html", status, problem=problem)

    async def sign_in(self, request: Request) -> Response:
        address = network(request.scope) or "this machine"
        # Counted before it is looked at: attempts at the same time count, too.
        if not self.limiter.hit(self.attempts, address):
            log.warning("too many attempts to sign in as the administrator")
            until = self.limiter.get_window_stats(self.attempts, address).reset_time
            wait = max(1, math.ceil(until - time.time()))
            minutes = math.ceil(wait / 60)
            answer = self._sign_in_page(
                429,
                "There were too many attempts with a wrong token: try again in "
                f"{minutes} minute{'' if minutes == 1 else 's'}.",
            )
            answer.headers["Retry-After"] = str(wait)
            return answer
        if not self.sessions.opens((await _fields(request)).get("token", "")):
            log.warning("somebody tried to sign in as the administrator with a wrong token")
            return self._sign_in_page(401, "This is not the administrator's token.")
        self.limiter.clear(self.attempts, address)
        log.info("the administrator signed in")
        answer = RedirectResponse("./", 303)
        # Without a path the browser takes that of these pages, wherever a proxy put them.
        answer.set_cookie(
            COOKIE,
            self.sessions.begin(),
            max_age=int(self.sessions.seconds),
            path=None,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        note, _ = await self._form(request)
        self.sessions.end(note)
        log.info("the administrator signed out")
        answer = RedirectResponse("./", 303)
        answer.delete_cookie(COOKIE, path=None, httponly=True, samesite="strict")
        return answer

    async def _form(self, request: Request) -> tuple[str, dict[str, str]]:
        """Return the session and the fields of a form that was really sent from our page."""
        note = self._must_be_in(request)
        fields = await _fields(request)
        if not self.sessions.is_form_word(fields.get("form", ""), note):
            raise HTTPException(
                403, "This form does not come from your session: go back and send it again."
            )
        return note, fields

    # -- The reviews

    async def home(self, request: Request) -> Response:
        note = self._note(request)
        if not note:
            return self._sign_in_page(401)
        filters, after = _asked(request)
        today = datetime.now(UTC).date()

        def ask(connection) -> dict[str, Any]:
            days = questions.volume(connection, filters, today)
            return {
                "rows": questions.page(connection, filters, ROWS + 1, after),
                "count": questions.count(connection, filters),
                "brands": questions.brands(connection),
                "agreement": questions.agreement(connection, filters),
                "by_brand": questions.agreement_by_brand(connection, filters),
                "days": days,
                "bars": charts.stacked(days),
            }

        found = await self._ask(lambda: self.store.read(ask))
        rows = found.pop("rows")
        return self._page(
            "reviews.html",
            form=self.sessions.form_word(note),
            rows=rows[:ROWS],
            next=filters.query(after=str(Place.of(rows[ROWS - 1]))) if len(rows) > ROWS else "",
            filters=filters,
            is_first=after is None,
            was_deleted="deleted" in request.query_params,
            **found,
        )

    async def csv(self, request: Request) -> Response:
        self._must_be_in(request)
        filters, _ = _asked(request)

        def some(after: Place | None) -> list[StoredReview]:
            return self.store.read(
                lambda connection: questions.page(connection, filters, ROWS_AT_ONCE, after)
            )

        # While this can still become a page that says what is wrong.
        first = await self._ask(lambda: some(None))

        def rows() -> Iterator[StoredReview]:
            # A few at a time and no transaction between: a slow reader holds no connection.
            part = first
            while part:
                yield from part
                part = some(Place.of(part[-1])) if len(part) == ROWS_AT_ONCE else []

        log.info("the administrator exports reviews")
        name = f"starwise-reviews-{datetime.now(UTC).date()}.csv"
        return StreamingResponse(
            _batches(csv_of(rows())),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def ask_to_delete(self, request: Request) -> Response:
        note = self._must_be_in(request)
        filters, after = _asked(request)
        row = await self._ask(lambda: self.store.get(_id(request.query_params.get("id", ""))))
        if row is None:
            raise HTTPException(404, "There is no review with this id.")
        back = filters.query(**({"after": str(after)} if after else {}))
        return self._page("delete.html", form=self.sessions.form_word(note), row=row, back=back)

    async def delete(self, request: Request) -> Response:
        _, fields = await self._form(request)
        id = _id(fields.get("id", ""))
        if not await self._ask(lambda: self.store.delete(id)):
            raise HTTPException(404, "There is no review with this id.")
        log.info("the administrator deleted the review %s", id)
        filters, after = _asked(request)
        more = {"after": str(after)} if after else {}
        return RedirectResponse("./?" + filters.query(**more, deleted="1"), 303)

    def _must_be_in(self, request: Request) -> str:
        note = self._note(request)
        if not note:
            raise HTTPException(401)
        return note

    async def _ask(self, question: Callable[[], Result]) -> Result:
        return await to_thread.run_sync(question, limiter=self.threads)

    # -- What goes wrong

    async def closed(self, _: Request) -> Response:
        return self._problem(
            404, "The administrator's page is closed: it opens where STARWISE_ADMIN_TOKEN is set."
        )

    async def failed(self, _: Request, error: Exception) -> Response:
        return self._problem(503, str(error))

    async def refused(self, _: Request, error: Exception) -> Response:
        return self._problem(422, str(error))

    async def http_problem(self, _: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        if status == 401:
            return self._sign_in_page(401)
        said = {404: "There is nothing at this address.", 405: "This address takes no such form."}
        detail = str(getattr(error, "detail", ""))
        if not detail.endswith("."):
            detail = said.get(status, "This cannot be done.")
        return self._problem(status, detail)

    async def unforeseen(self, _: Request, error: Exception) -> Response:
        return self._problem(500, "Something went wrong here, and it is not your doing.")

    def _problem(self, status: int, sentence: str) -> HTMLResponse:
        return self._page("problem.html", status, sentence=sentence)

    def _page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        return HTMLResponse(self.templates.get_template(template).render(values), status)


async def _fields(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=20) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def _asked(request: Request) -> tuple[Filters, Place | None]:
    """Return the filters of an address, and the place after which its page begins."""
    try:
        given = parse_qs(request.url.query, max_num_fields=50)
    except ValueError:
        raise FilterError("This address asks for too much at once.") from None
    after = given.get("after")
    return Filters.of(given), Place.read(after[-1]) if after else None


def _id(given: str) -> uuid.UUID:
    try:
        return uuid.UUID(given)
    except ValueError:
        raise HTTPException(404, "There is no review with this id.") from None


def _batches(pieces: Iterator[bytes], size: int = 64 * 1024) -> Iterator[bytes]:
    """Join small pieces: each that is sent costs a turn between threads."""
    batch = bytearray()
    for piece in pieces:
        batch += piece
        if len(batch) >= size:
            yield bytes(batch)
            batch.clear()
    yield bytes(batch)


def _moment(moment: datetime) -> str:
    there = moment.astimezone(UTC)
    return f"{there.day} {there:%b %Y, %H:%M}"


def _day(day) -> str:
    return f"{day.day} {day:%b %Y}"


def _signed(number: float) -> str:
    """Return a difference of stars with its sign, as in +0.42 or −1.00, and 0.00 for none."""
    return f"{number:+.2f}".replace("-", "−") if abs(number) >= 0.005 else "0.00"
