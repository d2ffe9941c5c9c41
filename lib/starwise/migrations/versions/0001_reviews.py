"""The reviews table, as the first version of Starwise made it without keeping account of steps."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision, down_revision = "0001", None


def upgrade() -> None:
    # A database of that first version has the table, with reviews in it, and stays as it is.
    if sa.inspect(op.get_bind()).has_table("reviews"):
        return
    op.create_table(
        "reviews",
        sa.Column("id", postgresql.UUID(as_uuid=True), primary_key=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.Column("brand", sa.String, nullable=False),
        sa.Column("review", sa.String, nullable=False),
        sa.Column("rating", sa.SmallInteger, nullable=False),
        sa.Column("suggested_rating", sa.SmallInteger),
        sa.Column("sentiment", sa.Float),
        sa.Column("probabilities", postgresql.JSONB(none_as_null=True)),
        sa.Column("model", sa.String),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="rating_is_stars"),
        sa.CheckConstraint("suggested_rating BETWEEN 1 AND 5", name="suggested_rating_is_stars"),
        sa.CheckConstraint("sentiment BETWEEN 0 AND 1", name="sentiment_is_a_share"),
    )
    op.create_index("reviews_newest", "reviews", ["created_at", "id"])
