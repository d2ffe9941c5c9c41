"""The steps by which the reviews table came to its present shape, and the way to take them.

upgrade(connection)        # every step that this database has not taken yet

Alembic keeps in the table `alembic_version` which step a database stands on. A step that has been
released is never changed; the next change of `schema.reviews` is the next file in versions/, and
its number is `schema.VERSION`. Steps only add, so that services of the former version go on working
beside those of the new one while they are being replaced.
"""

from pathlib import Path

from sqlalchemy import Connection


def configuration(connection: Connection):
    """Return Alembic's settings for the steps of this folder, on an open connection."""
    # Only a database that has steps to take pays for the import.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Take every step that is missing, within the transaction of `connection`."""
    from alembic import command

    command.upgrade(configuration(connection), "head")
