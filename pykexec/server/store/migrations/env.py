# SPDX-License-Identifier: Apache-2.0
"""What Alembic runs around the migrations: always over the connection that migrate() has."""

from alembic import context

from pykexec.server.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
