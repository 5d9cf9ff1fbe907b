"""Meters, holds and returns."""

from collections.abc import Sequence

from alembic import op

revision: str = "2026_11_23_redemptions"
down_revision: str | None = "2026_11_22_first_tables"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_TABLES = """
CREATE TABLE meters (
    id text COLLATE "C" NOT NULL, customer text, cap_wanted bigint NOT NULL, cap_version bigint NOT NULL, cap bigint NOT NULL,
    held bigint NOT NULL, used bigint NOT NULL,
    CONSTRAINT meters_pkey PRIMARY KEY (id),
    CONSTRAINT meters_within_cap CHECK (held >= 0 AND used >= 0 AND held + used <= cap)
) WITH (fillfactor = 50);

CREATE TABLE holds (
    id uuid NOT NULL, quote_id uuid NOT NULL, order_id text COLLATE "C" NOT NULL, state text NOT NULL, ended text,
    expires_at timestamptz NOT NULL, changed_at timestamptz, draws jsonb NOT NULL, grants jsonb NOT NULL, reply bytea NOT NULL,
    CONSTRAINT holds_pkey PRIMARY KEY (id),
    CONSTRAINT holds_state CHECK (state IN ('held', 'used', 'released')),
    CONSTRAINT holds_ended CHECK ((state = 'released') = (ended IS NOT NULL) AND ended IN ('asked', 'expired', 'replaced'))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX holds_quote ON holds (quote_id) WHERE state <> 'released';
CREATE INDEX holds_order ON holds (order_id) WHERE state <> 'released';
CREATE INDEX holds_expires_at ON holds (expires_at) WHERE state = 'held';
"""


def upgrade() -> None:
    # asyncpg prepares what it runs, and a prepared statement is one statement.
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE holds")
    op.execute("DROP TABLE meters")
