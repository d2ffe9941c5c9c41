"""A Postgres over TCP with a password, as a managed database is one: killed, started, refused."""

import uuid

import pytest

from starwise.store import Store, StoreError


def save(store: Store, review: str):
    return store.save(id=uuid.uuid4(), brand="Brightleaf", review=review, rating=4)


def test_reviews_over_tcp_survive_a_kill_of_the_server(debian_postgres):
    store = Store(debian_postgres.new_database())
    save(store, "before")
    debian_postgres.kill()
    with pytest.raises(StoreError, match="does not answer"):
        save(store, "meanwhile")
    debian_postgres.start()
    save(store, "after")
    assert [row.review for row in store.page()] == ["after", "before"]
    store.close()
