"""The reviews table as Postgres knows it, and how it comes to be there.

with engine.begin() as connection:
    prepare(connection)        # any number of processes may do this at once
"""

import logging

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

from starwise import migrations

log = logging.getLogger(__name__)

VERSION = "0002"  # the last step in migrations/versions/

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
overruled = reviews.c.rating != reviews.c.suggested_rating  # never true where nothing was suggested
Index("reviews_overruled", reviews.c.created_at, reviews.c.id, postgresql_where=overruled)

# Any fixed number: processes that change the table at once wait for one another on it.
_SCHEMA_LOCK = 7_827_392


def prepare(connection: Connection) -> None:
    """Bring the table to `VERSION`, its rows kept; safe when several processes do it at once."""
    if _version(connection) == VERSION:
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
    found = _version(connection)  # somebody else may just have done it
    if found > VERSION:
        # A newer Starwise has been here. Steps only add, so this one can go on.
        log.warning("the database is of version %s, and this program of %s", found, VERSION)
    elif found < VERSION:
        if not found and inspect(connection).has_table("alembic_version"):
            connection.execute(text("DELETE FROM alembic_version"))  # its table was dropped
        migrations.upgrade(connection)


def _version(connection: Connection) -> str:
    """Return the last step that this database has taken, empty for none."""
    inspector = inspect(connection)
    if not inspector.has_table("alembic_version") or not inspector.has_table(reviews.name):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""
