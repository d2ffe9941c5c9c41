"""An index of the reviews whose writer overruled the model, for the administrator's page.

They are a few in a hundred: without it, a page of them would read through all the others.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.create_index(
        "reviews_overruled",
        "reviews",
        ["created_at", "id"],
        postgresql_where=sa.text("rating <> suggested_rating"),
    )
