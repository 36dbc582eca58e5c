"""SQLModel tables, the store, the outbox, Alembic migrations. The only room that speaks SQL."""
