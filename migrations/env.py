"""Alembic's entry: runs the migrations in the transaction that minian_vc has opened."""

from alembic import context

from minian_vc.catalog.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
