"""The first tables: documents and their versions, decisions by day, keys, facts."""

from collections.abc import Sequence

from alembic import op

revision: str = "2026_11_22_first_tables"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_TABLES = """
CREATE TABLE documents (
    resource text NOT NULL, id text COLLATE "C" NOT NULL, revision integer NOT NULL, body jsonb NOT NULL, etag text NOT NULL,
    from_version bigint NOT NULL, to_version bigint,
    CONSTRAINT documents_pkey PRIMARY KEY (resource, id, from_version),
    CONSTRAINT documents_range CHECK (to_version > from_version)
);
CREATE UNIQUE INDEX documents_current ON documents (resource, id) WHERE to_version IS NULL;
CREATE INDEX documents_to_version ON documents (to_version);
CREATE INDEX documents_from_version ON documents (from_version);

CREATE TABLE drafts (
    resource text NOT NULL, id text COLLATE "C" NOT NULL, body jsonb, base_revision integer NOT NULL, etag text NOT NULL, release_id uuid,
    author text NOT NULL, updated_at timestamptz NOT NULL,
    CONSTRAINT drafts_pkey PRIMARY KEY (resource, id)
);

CREATE TABLE releases (
    id uuid NOT NULL, name text NOT NULL, state text NOT NULL, created_at timestamptz NOT NULL, created_by text NOT NULL,
    closed_at timestamptz, closed_by text, version bigint,
    CONSTRAINT releases_pkey PRIMARY KEY (id),
    CONSTRAINT releases_state CHECK (state IN ('open', 'published', 'discarded')),
    CONSTRAINT releases_closed CHECK ((state = 'open') = (closed_at IS NULL) AND (state = 'published') = (version IS NOT NULL))
);
CREATE INDEX releases_created_at ON releases (created_at, id);

CREATE TABLE versions (
    version bigint NOT NULL, published_at timestamptz NOT NULL, published_by text NOT NULL, kind text NOT NULL,
    note text NOT NULL DEFAULT '', body_of bigint,
    CONSTRAINT versions_pkey PRIMARY KEY (version),
    CONSTRAINT versions_kind CHECK (kind IN ('publish', 'rollback', 'signals', 'import'))
);

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, actor text NOT NULL, action text NOT NULL,
    resource text NOT NULL, document_id text NOT NULL, before jsonb, after jsonb, version bigint,
    previous_hash bytea NOT NULL, hash bytea NOT NULL,
    CONSTRAINT audit_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_document ON audit (resource, document_id, id);

CREATE TABLE signal_facts (
    id bigint GENERATED ALWAYS AS IDENTITY, kind text NOT NULL, sku text NOT NULL, at timestamptz NOT NULL,
    received_at timestamptz NOT NULL, body jsonb NOT NULL,
    CONSTRAINT signal_facts_pkey PRIMARY KEY (sku, id)
);

CREATE TABLE sales (
    sku text NOT NULL, id text NOT NULL, at timestamptz NOT NULL, quantity_milli bigint NOT NULL, paid_minor bigint NOT NULL,
    currency text NOT NULL, channel text, store text, customer text, promotion boolean, quote uuid,
    CONSTRAINT sales_pkey PRIMARY KEY (sku, id)
);

CREATE TABLE api_keys (
    id text NOT NULL, name text NOT NULL, secret_sha256 bytea NOT NULL, scopes text[] NOT NULL, created_at timestamptz NOT NULL,
    expires_at timestamptz, revoked_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id)
);

CREATE TABLE idempotency (
    scope text NOT NULL, key text NOT NULL, request_sha256 bytea NOT NULL, status integer NOT NULL, headers jsonb NOT NULL,
    reply bytea NOT NULL, created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_pkey PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_created_at ON idempotency USING brin (created_at);
"""

_DECISIONS = """
CREATE TABLE decisions (
    issued_at timestamptz NOT NULL, id uuid NOT NULL, version bigint NOT NULL, currency text NOT NULL, channel text, customer text,
    codes text[] NOT NULL, subtotal_minor bigint NOT NULL, discount_minor bigint NOT NULL, total_minor bigint NOT NULL,
    line_count integer NOT NULL, source text NOT NULL, request bytea NOT NULL, reply bytea NOT NULL,
    CONSTRAINT decisions_pkey PRIMARY KEY (issued_at, id)
) PARTITION BY RANGE (issued_at);
ALTER TABLE decisions ALTER COLUMN request SET STORAGE EXTERNAL, ALTER COLUMN reply SET STORAGE EXTERNAL;
CREATE INDEX decisions_issued_at ON decisions USING brin (issued_at);

CREATE TABLE decision_keys (
    id uuid NOT NULL, issued_at timestamptz NOT NULL, request_sha256 bytea NOT NULL, created_at timestamptz NOT NULL,
    CONSTRAINT decision_keys_pkey PRIMARY KEY (id)
);
CREATE INDEX decision_keys_created_at ON decision_keys USING brin (created_at);

-- For people: the bytes as they were received and sent, readable.
CREATE VIEW decisions_readable AS
SELECT issued_at, id, version, currency, channel, customer, codes, subtotal_minor, discount_minor, total_minor, line_count, source,
       convert_from(request, 'UTF8')::jsonb AS request, convert_from(reply, 'UTF8')::jsonb AS reply
FROM decisions;
"""


def _run(statements: str) -> None:
    # asyncpg prepares what it runs, and a prepared statement is one statement.
    for statement in statements.split(";\n"):
        if statement.strip():
            op.execute(statement)


def upgrade() -> None:
    _run(_TABLES)
    _run(_DECISIONS)


def downgrade() -> None:
    op.execute("DROP VIEW decisions_readable")
    for table in (
        "decision_keys",
        "decisions",
        "idempotency",
        "api_keys",
        "sales",
        "signal_facts",
        "audit",
        "versions",
        "releases",
        "drafts",
        "documents",
    ):
        op.execute(f"DROP TABLE {table}")
