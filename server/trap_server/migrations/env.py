"""Alembic's entry: migrate on the connection that `database.open_database` hands over, inside its transaction."""

from alembic import context

from trap_server.database import VERSION_TABLE
from trap_server.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
