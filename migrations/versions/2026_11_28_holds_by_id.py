"""Holds are found by their ids with the index that keeps them unique, so that one index less is written for each."""

from collections.abc import Sequence

from alembic import op

revision: str = "2026_11_28_holds_by_id"
down_revision: str | None = "2026_11_27_forgotten"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Turn the columns of the primary key round."""
    op.execute("ALTER TABLE holds DROP CONSTRAINT holds_pkey, ADD CONSTRAINT holds_pkey PRIMARY KEY (id, quote_id)")
    op.execute("DROP INDEX holds_id")


def downgrade() -> None:
    """Turn them back, with an index on the ids beside them."""
    op.execute("ALTER TABLE holds DROP CONSTRAINT holds_pkey, ADD CONSTRAINT holds_pkey PRIMARY KEY (quote_id, id)")
    op.execute("CREATE INDEX holds_id ON holds (id)")
