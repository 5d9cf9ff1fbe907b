"""Keys have limits, and for a while after a rotation two secrets."""

from collections.abc import Sequence

from alembic import op

revision: str = "2026_11_24_key_limits"
down_revision: str | None = "2026_11_22_first_tables"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Without defaults, so that the table is locked for an instant only.
_UP = """
ALTER TABLE api_keys
    ADD COLUMN previous_sha256 bytea, ADD COLUMN previous_until timestamptz,
    ADD COLUMN requests_per_second integer, ADD COLUMN burst integer, ADD COLUMN concurrent integer,
    ADD CONSTRAINT api_keys_previous CHECK ((previous_sha256 IS NULL) = (previous_until IS NULL)),
    ADD CONSTRAINT api_keys_limits CHECK (requests_per_second > 0 AND burst > 0 AND concurrent > 0),
    ADD CONSTRAINT api_keys_burst CHECK (burst IS NULL OR requests_per_second IS NOT NULL);
"""


def upgrade() -> None:
    """Add what keys have more."""
    op.execute(_UP)


def downgrade() -> None:
    """Take it away; secrets that were replaced end with it."""
    op.execute(
        "ALTER TABLE api_keys DROP COLUMN previous_sha256, DROP COLUMN previous_until,"
        " DROP COLUMN requests_per_second, DROP COLUMN burst, DROP COLUMN concurrent"
    )
