"""The reviews table in Postgres: saving once, reading page by page, deleting.

store = Store("postgresql://me:secret@db/starwise")     # connects at the first use, not here
row, new = store.save(id=uuid4(), brand="Brightleaf", review="Lovely!", rating=5)
page = store.page(limit=50)
page = store.page(limit=50, after=page[-1].id)
for row in store.everything(): ...

Reviews carry an id made by the client, so that a retry after a lost answer cannot store twice.
"""

import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, create_engine, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from starwise.errors import StarwiseError
from starwise.schema import prepare, reviews

log = logging.getLogger(__name__)

Result = TypeVar("Result")

CONNECTIONS = 8  # the most that one store keeps open
SLOWEST_READING = 10_000  # ms that the database may work on one of the administrator's questions


class StoreError(StarwiseError):
    """The database cannot do what was asked; the message says why, without any password."""


class UnstorableError(StoreError):
    """What was given cannot be stored as it is (the database itself is well)."""


class UnknownReviewError(StoreError):
    """No review has the id that was given."""


@dataclass(frozen=True)
class StoredReview:
    """One row of the table. What the model said is None when no model could be asked."""

    id: uuid.UUID
    created_at: datetime
    brand: str
    review: str
    rating: int  # stars, 1 to 5, that the visitor chose
    suggested_rating: int | None  # stars, 1 to 5
    sentiment: float | None  # 0 to 1
    probabilities: dict[str, float] | None  # bad, average, good
    model: str | None

    @classmethod
    def of(cls, row: Row[Any]) -> "StoredReview":
        return cls(**row._mapping)

    def as_json(self) -> dict[str, Any]:
        """Return the row with its id and time as text, ready for JSON."""
        return asdict(self) | {"id": str(self.id), "created_at": self.created_at.isoformat()}


def normalised(url: str) -> URL:
    """Return the address with the driver named that Starwise installs.

    `postgres://` and `postgresql://` are what hosts hand out; SQLAlchemy reads the latter as
    another driver. Raises `StoreError` for anything that is no Postgres address.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The address is not repeated: it may hold a password.
        raise StoreError(
            "DATABASE_URL is not an address such as postgresql://user:password@host/name."
        ) from None
    if parsed.get_backend_name() not in ("postgres", "postgresql"):
        raise StoreError(
            f"DATABASE_URL names {parsed.get_backend_name()}, and Starwise stores in Postgres: "
            "give an address that begins with postgresql://."
        )
    return parsed.set(drivername="postgresql+psycopg2")


NEWEST_FIRST = (reviews.c.created_at.desc(), reviews.c.id.desc())
PLACE = tuple_(reviews.c.created_at, reviews.c.id)  # where a review stands among the others


class Store:
    """The reviews of one database. Safe to share between threads."""

    def __init__(self, url: str | URL, connections: int = CONNECTIONS) -> None:
        self.url = normalised(str(url) if isinstance(url, str) else url.render_as_string(False))
        self.connections = connections
        self._engine = create_engine(
            self.url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=5,  # seconds to wait for a free connection
            hide_parameters=True,  # what visitors wrote is in no message, whoever prints it
            connect_args={"connect_timeout": 3, "tcp_user_timeout": 10_000},  # s, ms
        )
        self._ready = False

    def save(
        self,
        *,
        id: uuid.UUID,
        brand: str,
        review: str,
        rating: int,
        suggested_rating: int | None = None,
        sentiment: float | None = None,
        probabilities: dict[str, float] | None = None,
        model: str | None = None,
    ) -> tuple[StoredReview, bool]:
        """Store a review and return its row and True, or the row this id already has and False.

        It returns after the commit. Raises `UnstorableError` for text that Postgres cannot hold
        and `StoreError` when the database does not answer: then the row may or may not be
        there, and saving again with the same id is safe.
        """
        for what, words in (("brand", brand), ("review", review)):
            _check_storable(what, words)
        values = {
            "id": id,
            "brand": brand,
            "review": review,
            "rating": rating,
            "suggested_rating": suggested_rating,
            "sentiment": sentiment,
            "probabilities": probabilities,
            "model": model,
        }
        statement = insert(reviews).values(values).on_conflict_do_nothing(index_elements=["id"])

        def store(connection: Connection) -> tuple[Row[Any] | None, bool]:
            row = connection.execute(statement.returning(reviews)).one_or_none()
            if row is not None:
                return row, True
            known = select(reviews).where(reviews.c.id == id)
            return connection.execute(known).one_or_none(), False

        row, new = self._commit(store)
        if row is None:
            raise StoreError("This review was deleted while it was being saved.")
        return StoredReview.of(row), new

    def page(self, limit: int = 50, after: uuid.UUID | None = None) -> list[StoredReview]:
        """Return up to `limit` reviews, newest first, that come after the review `after`.

        Raises `UnknownReviewError` when no review has the id `after`.
        """
        query = select(reviews).order_by(*NEWEST_FIRST).limit(limit)

        def read(connection: Connection) -> list[StoredReview]:
            if after is None:
                return [StoredReview.of(row) for row in connection.execute(query)]
            marker = connection.execute(
                select(reviews.c.created_at, reviews.c.id).where(reviews.c.id == after)
            ).one_or_none()
            if marker is None:
                raise UnknownReviewError(
                    "No review has the id given as `after`: start from the first page."
                )
            older = query.where(tuple_(*marker) > PLACE)
            return [StoredReview.of(row) for row in connection.execute(older)]

        return self._commit(read)

    def get(self, id: uuid.UUID) -> StoredReview | None:
        """Return one review, or None where there is none of this id."""
        query = select(reviews).where(reviews.c.id == id)
        row = self._commit(lambda connection: connection.execute(query).one_or_none())
        return StoredReview.of(row) if row else None

    def read(self, question: Callable[[Connection], Result]) -> Result:
        """Return the answer to a question that only reads, and that may not take for ever."""

        def ask(connection: Connection) -> Result:
            connection.execute(
                text(f"SET LOCAL statement_timeout = {SLOWEST_READING}; SET TRANSACTION READ ONLY")
            )
            return question(connection)

        return self._commit(ask)

    def everything(self) -> Iterator[StoredReview]:
        """Give every review, the oldest first, as of one moment and a few at a time."""
        query = select(reviews).order_by(reviews.c.created_at, reviews.c.id)
        with self._sentences():
            self._prepare()
            with self._engine.connect() as connection:
                connection.execute(
                    text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                )
                rows = connection.execution_options(yield_per=1000).execute(query)
                yield from map(StoredReview.of, rows)

    def add(self, rows: Iterable[StoredReview]) -> int:
        """Store rows as they are, all or none, and return how many have a new id.

        A row whose id is there already is left alone. Raises like `save`.
        """

        def store(connection: Connection) -> int:
            added, left = 0, iter(rows)
            while some := list(islice(left, 500)):
                statement = insert(reviews).values([asdict(row) for row in some])
                added += connection.execute(statement.on_conflict_do_nothing()).rowcount
            return added

        return self._commit(store, again=False)  # `rows` may be a file that is read only once

    def older_than(self, days: int) -> int:
        """Return how many reviews were stored more than so many days ago."""
        query = select(func.count()).select_from(reviews).where(_older_than(days))
        return self._commit(lambda connection: connection.execute(query).scalar_one())

    def delete_older_than(self, days: int) -> int:
        """Delete the reviews stored more than so many days ago; return how many there were."""
        statement = delete(reviews).where(_older_than(days))
        return self._commit(lambda connection: connection.execute(statement).rowcount)

    def delete(self, id: uuid.UUID) -> bool:
        """Delete one review; say whether there was one."""
        statement = delete(reviews).where(reviews.c.id == id)
        return self._commit(lambda connection: connection.execute(statement).rowcount > 0)

    def check(self) -> None:
        """Raise `StoreError` unless the database answers."""
        self._commit(lambda connection: connection.execute(text("SELECT 1")))

    def close(self) -> None:
        """Close the pooled connections; the store opens new ones when used again."""
        self._engine.dispose()

    def _commit(self, work: Callable[[Connection], Result], again: bool = True) -> Result:
        """Return what `work` makes of a connection, after the commit; errors become sentences.

        A pooled connection may have died since it was used last, and one may die in mid-commit,
        where nobody can know the outcome: then the work is done once more (`again`) on a new one.
        All that is done here may be done twice.
        """
        with self._sentences():
            try:
                self._prepare()
                with self._engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if not (again and error.connection_invalidated):
                    raise
            self._ready = False  # the server may come back empty
            self._prepare()
            with self._engine.begin() as connection:
                return work(connection)

    def _prepare(self) -> None:
        if not self._ready:
            try:
                with self._engine.begin() as connection:
                    prepare(connection)
            except ProgrammingError as error:
                if "permission denied" in str(error.orig):
                    raise
                log.error("the reviews table could not be brought up to date: %s", error.orig)
                raise StoreError(
                    "The database holds something else where the reviews table should be."
                ) from None
            self._ready = True

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turn errors into sentences. The driver's message, which may repeat what was stored and
        where, is not passed on."""
        try:
            yield
        except PoolTimeoutError:
            raise StoreError("The database is busy: try again in a moment.") from None
        except (DataError, IntegrityError):
            raise UnstorableError("The database refuses these values for a review.") from None
        except SQLAlchemyError as error:
            self._ready = False  # look again next time: the server may come back empty
            raise StoreError(self._sentence(str(getattr(error, "orig", "")))) from None

    def _sentence(self, reason: str) -> str:
        # Visitors read these, too: where the database lies is for the log.
        log.warning("the database at %s:%s failed", self.url.host or "(socket)", self.url.port)
        if "authentication failed" in reason or "role" in reason:
            return "The database refuses the user or the password of DATABASE_URL."
        if 'database "' in reason and "does not exist" in reason:
            return "There is no database of the name that DATABASE_URL gives: create it."
        if "statement timeout" in reason:
            return "The database takes too long over this: ask for less at a time."
        if "permission denied" in reason or "read-only" in reason:
            return "The user of DATABASE_URL may not do this in the database."
        return "The database does not answer just now: try again in a moment."


def _check_storable(what: str, words: str) -> None:
    if "\x00" in words:
        raise UnstorableError(
            f"The {what} holds a NUL character, which the database cannot keep: remove it."
        )
    try:
        words.encode()
    except UnicodeEncodeError:
        raise UnstorableError(
            f"The {what} holds half of a character (a lone surrogate): remove it."
        ) from None


def _older_than(days: int) -> Any:
    return reviews.c.created_at < func.now() - text(f"INTERVAL '{int(days)} days'")


def connections_allowed() -> int:
    """Return $STARWISE_DB_CONNECTIONS, or what a store takes by itself."""
    given = os.environ.get("STARWISE_DB_CONNECTIONS", "")
    if not given:
        return CONNECTIONS
    if not (given.isdecimal() and 1 <= int(given) <= 100):
        raise StoreError(f"STARWISE_DB_CONNECTIONS is {given!r}: give a number from 1 to 100.")
    return int(given)
