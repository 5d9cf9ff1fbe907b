"""Holds are found by their ids with the index that keeps them unique, and by their quotes with one that no search by order can go through."""

from collections.abc import Sequence

from alembic import op

revision: str = "2026_11_28_holds_by_id"
down_revision: str | None = "2026_11_27_forgotten"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Turn the columns of the primary key round, which leaves one index less to write. A hold that has not ended is one that is not released."""
    op.execute("ALTER TABLE holds DROP CONSTRAINT holds_pkey, ADD CONSTRAINT holds_pkey PRIMARY KEY (id, quote_id)")
    op.execute("DROP INDEX holds_id")
    op.execute("DROP INDEX holds_of_quote")
    op.execute("CREATE UNIQUE INDEX holds_of_quote ON holds (quote_id) WHERE ended IS NULL")


def downgrade() -> None:
    """Turn them back, with an index on the ids beside them."""
    op.execute("DROP INDEX holds_of_quote")
    op.execute("CREATE UNIQUE INDEX holds_of_quote ON holds (quote_id) WHERE state <> 'released'")
    op.execute("ALTER TABLE holds DROP CONSTRAINT holds_pkey, ADD CONSTRAINT holds_pkey PRIMARY KEY (quote_id, id)")
    op.execute("CREATE INDEX holds_id ON holds (id)")
