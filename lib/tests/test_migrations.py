"""Changes of the reviews table: rows are kept, whoever starts first, and no step is forgotten."""

import subprocess
import sys
import uuid

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from starwise import schema
from starwise.migrations import configuration
from starwise.store import Store, StoreError, normalised

# What the first version of Starwise made, before it kept account of its steps (as pg_dump tells).
FIRST_VERSION = """
CREATE TABLE reviews (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    brand VARCHAR NOT NULL,
    review VARCHAR NOT NULL,
    rating SMALLINT NOT NULL,
    suggested_rating SMALLINT,
    sentiment DOUBLE PRECISION,
    probabilities JSONB,
    model VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT rating_is_stars CHECK (rating BETWEEN 1 AND 5),
    CONSTRAINT suggested_rating_is_stars CHECK (suggested_rating BETWEEN 1 AND 5),
    CONSTRAINT sentiment_is_a_share CHECK (sentiment BETWEEN 0 AND 1)
);
CREATE INDEX reviews_newest ON reviews (created_at, id);
INSERT INTO reviews (id, created_at, brand, review, rating, suggested_rating, sentiment,
                     probabilities, model)
SELECT gen_random_uuid(), now() - n * interval '1 day', 'Brightleaf', 'number ' || n, 1 + n % 5,
       3, 0.5, '{"bad": 0.25, "average": 0.5, "good": 0.25}', 'bundled'
FROM generate_series(1, 500) AS n;
"""

START = """
import sys
from starwise.store import Store
Store(sys.argv[1]).check()
"""


@pytest.fixture
def database(debian_postgres):
    """An empty database's address, and an engine on it."""
    address = debian_postgres.new_database()
    engine = create_engine(normalised(address))
    yield address, engine
    engine.dispose()


def rows(engine) -> list:
    with engine.connect() as connection:
        return connection.execute(text("SELECT * FROM reviews ORDER BY created_at")).all()


def version(engine) -> str:
    with engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()


def test_a_database_of_the_first_version_is_brought_up_to_date_with_all_its_rows(database):
    address, engine = database
    with engine.begin() as connection:
        connection.execute(text(FIRST_VERSION))
    before = rows(engine)
    store = Store(address)
    assert len(store.page(limit=1000)) == len(before) == 500
    assert rows(engine) == before
    assert version(engine) == schema.VERSION
    store.save(id=uuid.uuid4(), brand="Brightleaf", review="new", rating=2)
    assert len(rows(engine)) == 501
    store.close()


def test_services_that_start_at_once_on_an_old_database_take_each_step_once(database):
    address, engine = database
    with engine.begin() as connection:
        connection.execute(text(FIRST_VERSION))
    starters = [
        subprocess.Popen([sys.executable, "-c", START, address], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [starter.communicate(timeout=60)[1].decode() for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 4, errors
    assert version(engine) == schema.VERSION and len(rows(engine)) == 500


def test_the_steps_lead_to_the_table_that_the_program_believes_in(database):
    address, engine = database
    Store(address).check()
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        found = connection.execute(
            text("SELECT indexname FROM pg_indexes WHERE tablename = 'reviews'")
        ).scalars()
        assert set(found) == {"reviews_pkey", "reviews_newest", "reviews_overruled"}
        checks = connection.execute(
            text("SELECT count(*) FROM pg_constraint WHERE conname LIKE '%is_stars'")
        ).scalar_one()
        assert checks == 2
        heads = ScriptDirectory.from_config(configuration(connection)).get_heads()
    assert heads == [schema.VERSION]


def test_a_database_of_a_newer_version_is_used_as_it_is(database, caplog):
    address, engine = database
    Store(address).check()
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store = Store(address)
    store.save(id=uuid.uuid4(), brand="Brightleaf", review="after a roll-back", rating=2)
    assert version(engine) == "9999" and "9999" in caplog.text


def test_a_step_that_fails_changes_nothing(database, monkeypatch):
    address, engine = database
    with engine.begin() as connection:
        connection.execute(text(FIRST_VERSION))
        connection.execute(text("CREATE TABLE reviews_overruled (n int)"))  # the index's name
    store = Store(address)
    with pytest.raises(StoreError, match="something else"):
        store.check()
    with engine.begin() as connection:
        assert not connection.execute(text("SELECT to_regclass('alembic_version')")).scalar()
        connection.execute(text("DROP TABLE reviews_overruled"))
    store.check()
    assert version(engine) == schema.VERSION and len(rows(engine)) == 500
