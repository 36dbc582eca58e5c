"""Alembic migrations. They run in process, on the connection `Database.upgrade` hands over."""
