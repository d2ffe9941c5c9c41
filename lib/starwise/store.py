"""The reviews table in Postgres: saving once, reading page by page, deleting.

store = Store("postgresql://me:secret@db/starwise")     # connects at the first use, not here
row, new = store.save(id=uuid4(), brand="Brightleaf", review="Lovely!", rating=5)
page = store.page(limit=50)
page = store.page(limit=50, after=page[-1].id)

Reviews carry an id made by the client, so that a retry after a lost answer cannot store twice.
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, create_engine, delete, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from starwise.errors import StarwiseError
from starwise.schema import prepare, reviews

log = logging.getLogger(__name__)


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


class Store:
    """The reviews of one database. Safe to share between threads."""

    def __init__(self, url: str | URL) -> None:
        self.url = normalised(str(url) if isinstance(url, str) else url.render_as_string(False))
        self._engine = create_engine(
            self.url,
            pool_size=5,
            max_overflow=5,
            pool_timeout=5,  # seconds to wait for a free connection
            pool_pre_ping=True,  # a restarted server costs one retry, not one visitor's review
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
        with self._transaction() as connection:
            row = connection.execute(statement.returning(reviews)).one_or_none()
            new = row is not None
            if row is None:
                row = connection.execute(select(reviews).where(reviews.c.id == id)).one_or_none()
        if row is None:
            raise StoreError("This review was deleted while it was being saved.")
        return StoredReview.of(row), new

    def page(self, limit: int = 50, after: uuid.UUID | None = None) -> list[StoredReview]:
        """Return up to `limit` reviews, newest first, that come after the review `after`.

        Raises `UnknownReviewError` when no review has the id `after`.
        """
        newest_first = (reviews.c.created_at.desc(), reviews.c.id.desc())
        query = select(reviews).order_by(*newest_first).limit(limit)
        with self._transaction() as connection:
            if after is not None:
                marker = connection.execute(
                    select(reviews.c.created_at, reviews.c.id).where(reviews.c.id == after)
                ).one_or_none()
                if marker is None:
                    raise UnknownReviewError(
                        "No review has the id given as `after`: start from the first page."
                    )
                query = query.where(tuple_(reviews.c.created_at, reviews.c.id) < tuple_(*marker))
            return [StoredReview.of(row) for row in connection.execute(query)]

    def delete(self, id: uuid.UUID) -> bool:
        """Delete one review; say whether there was one."""
        with self._transaction() as connection:
            return connection.execute(delete(reviews).where(reviews.c.id == id)).rowcount > 0

    def check(self) -> None:
        """Raise `StoreError` unless the database answers."""
        with self._transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close the pooled connections; the store opens new ones when used again."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Give a connection whose work is committed at the end; errors become sentences."""
        try:
            with self._engine.begin() as connection:
                if not self._ready:
                    prepare(connection)
                yield connection
            self._ready = True
        # The driver's message may repeat what was stored and where: neither is passed on.
        except PoolTimeoutError:
            raise StoreError("The database is busy: try again in a moment.") from None
        except (DataError, IntegrityError):
            raise UnstorableError("The database refuses these values for a review.") from None
        except SQLAlchemyError as error:
            # Ask again next time: the server may come back empty.
            self._ready = False
            raise StoreError(self._sentence(str(getattr(error, "orig", "")))) from None

    def _sentence(self, reason: str) -> str:
        # Visitors read these, too: where the database lies is for the log.
        log.warning("the database at %s:%s failed", self.url.host or "(socket)", self.url.port)
        if "authentication failed" in reason or "role" in reason:
            return "The database refuses the user or the password of DATABASE_URL."
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
