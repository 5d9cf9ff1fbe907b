"""What of a meter is used by holds that are not kept any more."""

from collections.abc import Sequence

from alembic import op

revision: str = "2026_11_27_forgotten"
down_revision: str | None = "2026_11_25_redemptions"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# A table of its own and no column of `meters`: who alters that waits for all who read it, and every hold would wait behind.
_UP = """
CREATE TABLE meters_forgotten (
    id text COLLATE "C" NOT NULL, used bigint NOT NULL,
    CONSTRAINT meters_forgotten_pkey PRIMARY KEY (id),
    CONSTRAINT meters_forgotten_used CHECK (used >= 0)
)
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(_UP)


def downgrade() -> None:
    """Take it away; meters then have more than their holds add up to."""
    op.execute("DROP TABLE meters_forgotten")
