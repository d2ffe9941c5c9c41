"""The reviews table as Postgres knows it, and how it comes to be there.

with engine.begin() as connection:
    prepare(connection)        # any number of processes may do this at once
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Float,
    Index,
    MetaData,
    SmallInteger,
    String,
    Table,
    func,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData()

reviews = Table(
    "reviews",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("brand", String, nullable=False),
    Column("review", String, nullable=False),
    Column("rating", SmallInteger, nullable=False),
    Column("suggested_rating", SmallInteger),
    Column("sentiment", Float),
    Column("probabilities", JSONB(none_as_null=True)),
    Column("model", String),
    CheckConstraint("rating BETWEEN 1 AND 5", name="rating_is_stars"),
    CheckConstraint("suggested_rating BETWEEN 1 AND 5", name="suggested_rating_is_stars"),
    CheckConstraint("sentiment BETWEEN 0 AND 1", name="sentiment_is_a_share"),
    # Pages go from the newest to the oldest.
    Index("reviews_newest", "created_at", "id"),
)

# Any fixed number: processes that create the table at once wait for one another on it.
_SCHEMA_LOCK = 7_827_392


def prepare(connection: Connection) -> None:
    """Create the table unless it is there; safe when several processes do it at once."""
    if inspect(connection).has_table(reviews.name):
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
    metadata.create_all(connection)
