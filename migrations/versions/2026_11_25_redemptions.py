"""Meters, holds and returns."""

from collections.abc import Sequence

from alembic import op

revision: str = "2026_11_25_redemptions"
down_revision: str | None = "2026_11_24_key_limits"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# `cap` bounds what is taken at any time; `cap_wanted` is the newest limit, which may have been lowered below it.
# A hold is distributed by its quote, a return by its hold.
_TABLES = """
CREATE TABLE meters (
    id text COLLATE "C" NOT NULL, customer text, cap_wanted bigint NOT NULL, cap_version bigint NOT NULL, cap bigint NOT NULL,
    held bigint NOT NULL, used bigint NOT NULL,
    CONSTRAINT meters_pkey PRIMARY KEY (id),
    CONSTRAINT meters_within_cap CHECK (held >= 0 AND used >= 0 AND held + used <= cap)
) WITH (fillfactor = 70);
CREATE INDEX meters_of_all ON meters (id) WHERE customer IS NULL;

CREATE TABLE holds (
    quote_id uuid NOT NULL, id uuid NOT NULL, order_id text NOT NULL, state text NOT NULL, ended text,
    created_at timestamptz NOT NULL, expires_at timestamptz NOT NULL, changed_at timestamptz NOT NULL,
    meters text[] NOT NULL, amounts bigint[] NOT NULL, detail bytea NOT NULL, reply bytea NOT NULL,
    CONSTRAINT holds_pkey PRIMARY KEY (quote_id, id),
    CONSTRAINT holds_state CHECK (state IN ('held', 'used', 'released') AND (state = 'released') = (ended IS NOT NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX holds_of_quote ON holds (quote_id) WHERE state <> 'released';
CREATE INDEX holds_id ON holds (id);
CREATE INDEX holds_of_order ON holds (order_id) WHERE state <> 'released';
CREATE INDEX holds_held ON holds (expires_at) WHERE state = 'held';
CREATE INDEX holds_created_at ON holds USING brin (created_at);

CREATE TABLE returns (
    hold_id uuid NOT NULL, id uuid NOT NULL, created_at timestamptz NOT NULL, lines jsonb NOT NULL,
    meters text[] NOT NULL, amounts bigint[] NOT NULL, reply bytea NOT NULL,
    CONSTRAINT returns_pkey PRIMARY KEY (hold_id, id)
);

CREATE TABLE point_grants (
    customer text NOT NULL, id uuid NOT NULL, granted_at timestamptz NOT NULL, points bigint NOT NULL, reason text NOT NULL,
    actor text NOT NULL,
    CONSTRAINT point_grants_pkey PRIMARY KEY (customer, id)
);
"""


def upgrade() -> None:
    """Add the tables."""
    # asyncpg prepares what it runs, and a prepared statement is one statement.
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Take them away."""
    for table in ("point_grants", "returns", "holds", "meters"):
        op.execute(f"DROP TABLE {table}")
