"""Every table, as SQLAlchemy Core sees it. The migrations create them; a test holds both to the same shape.

Money is int64 minor units, instants are `timestamptz`. Each unique key contains the column by which its table would be distributed.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData()

# Ids sort by their bytes, so that an index finds those that begin with a text.
# One row a revision of a configured document. A document's rows follow one another: [from_version, to_version).
documents = Table(
    "documents",
    metadata,
    Column("resource", Text, nullable=False),
    Column("id", Text(collation="C"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("etag", Text, nullable=False),
    Column("from_version", BigInteger, nullable=False),
    Column("to_version", BigInteger, nullable=True),
    PrimaryKeyConstraint("resource", "id", "from_version", name="documents_pkey"),
    Index("documents_current", "resource", "id", unique=True, postgresql_where=text("to_version IS NULL")),
    Index("documents_to_version", "to_version"),
    Index("documents_from_version", "from_version"),
)

# What somebody has written and nobody has published; a null body deletes the document.
drafts = Table(
    "drafts",
    metadata,
    Column("resource", Text, nullable=False),
    Column("id", Text(collation="C"), nullable=False),
    Column("body", JSONB(none_as_null=True), nullable=True),
    Column("base_revision", Integer, nullable=False),
    Column("etag", Text, nullable=False),
    Column("release_id", UUID(as_uuid=True), nullable=True),
    Column("author", Text, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("resource", "id", name="drafts_pkey"),
)

# Drafts that are published together. Open until it is published (then `version` has it) or discarded.
releases = Table(
    "releases",
    metadata,
    Column("id", UUID(as_uuid=True), nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("closed_at", DateTime(timezone=True), nullable=True),
    Column("closed_by", Text, nullable=True),
    Column("version", BigInteger, nullable=True),
    PrimaryKeyConstraint("id", name="releases_pkey"),
    Index("releases_created_at", "created_at", "id"),
)

# `kind` is publish, rollback, signals or import; `body_of` names the version whose body a rollback took.
versions = Table(
    "versions",
    metadata,
    Column("version", BigInteger, nullable=False, autoincrement=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
    Column("published_by", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("body_of", BigInteger, nullable=True),
    PrimaryKeyConstraint("version", name="versions_pkey"),
)

# A hash chain: each row's hash covers the one before it.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("document_id", Text, nullable=False),
    Column("before", JSONB(none_as_null=True), nullable=True),
    Column("after", JSONB(none_as_null=True), nullable=True),
    Column("version", BigInteger, nullable=True),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", name="audit_pkey"),
    Index("audit_document", "resource", "document_id", "id"),
)

signal_facts = Table(
    "signal_facts",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("body", JSONB, nullable=False),
    PrimaryKeyConstraint("sku", "id", name="signal_facts_pkey"),
)

sales = Table(
    "sales",
    metadata,
    Column("sku", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("quantity_milli", BigInteger, nullable=False),
    Column("paid_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("channel", Text, nullable=True),
    Column("store", Text, nullable=True),
    Column("customer", Text, nullable=True),
    Column("promotion", Boolean, nullable=True),
    Column("quote", UUID(as_uuid=True), nullable=True),
    PrimaryKeyConstraint("sku", "id", name="sales_pkey"),
)

# The secret itself is shown once and never stored. The one before it is valid until `previous_until`. A limit that is null is the service's.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=True),
    Column("revoked_at", DateTime(timezone=True), nullable=True),
    Column("previous_sha256", LargeBinary, nullable=True),
    Column("previous_until", DateTime(timezone=True), nullable=True),
    Column("requests_per_second", Integer, nullable=True),
    Column("burst", Integer, nullable=True),
    Column("concurrent", Integer, nullable=True),
    PrimaryKeyConstraint("id", name="api_keys_pkey"),
)

# The key row is written in the transaction of its effect; `scope` is who used the key.
idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("scope", "key", name="idempotency_pkey"),
    Index("idempotency_created_at", "created_at", postgresql_using="brin"),
)

# Partitioned by UTC day of `issued_at` (see app.db.partitions). `reply` is exactly the bytes sent, `request` the request as it
# was understood; both are EXTERNAL, because they are read whole and compressing them costs more than it saves.
decisions = Table(
    "decisions",
    metadata,
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("id", UUID(as_uuid=True), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("channel", Text, nullable=True),
    Column("customer", Text, nullable=True),
    Column("codes", ARRAY(Text), nullable=False),
    Column("subtotal_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    PrimaryKeyConstraint("issued_at", "id", name="decisions_pkey"),
    Index("decisions_issued_at", "issued_at", postgresql_using="brin"),
    postgresql_partition_by="RANGE (issued_at)",
)

# One row for each decision whose id the client made: a partitioned table cannot hold an id to be unique over all its days.
decision_keys = Table(
    "decision_keys",
    metadata,
    Column("id", UUID(as_uuid=True), nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id", name="decision_keys_pkey"),
    Index("decision_keys_created_at", "created_at", postgresql_using="brin"),
)

# Capped counters. `cap` bounds what is taken at any time; `cap_wanted` is the newest limit, which may have been lowered below it.
meters = Table(
    "meters",
    metadata,
    Column("id", Text(collation="C"), nullable=False),
    Column("customer", Text, nullable=True),
    Column("cap_wanted", BigInteger, nullable=False),
    Column("cap_version", BigInteger, nullable=False),
    Column("cap", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="meters_pkey"),
    CheckConstraint("held >= 0 AND used >= 0 AND held + used <= cap", name="meters_within_cap"),
    Index("meters_of_all", "id", postgresql_where=text("customer IS NULL")),
)

# What of `used` is of holds that are not kept any more.
meters_forgotten = Table(
    "meters_forgotten",
    metadata,
    Column("id", Text(collation="C"), nullable=False),
    Column("used", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="meters_forgotten_pkey"),
    CheckConstraint("used >= 0", name="meters_forgotten_used"),
)

# What an order has taken of meters for a quote; distributed by its quote. `meters` and `amounts` are what it took, `detail` the shares of the
# lines in that, `reply` exactly the bytes sent.
holds = Table(
    "holds",
    metadata,
    Column("quote_id", UUID(as_uuid=True), nullable=False),
    Column("id", UUID(as_uuid=True), nullable=False),
    Column("order_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended", Text, nullable=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("meters", ARRAY(Text), nullable=False),
    Column("amounts", ARRAY(BigInteger), nullable=False),
    Column("detail", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", "quote_id", name="holds_pkey"),
    CheckConstraint("state IN ('held', 'used', 'released') AND (state = 'released') = (ended IS NOT NULL)", name="holds_state"),
    Index("holds_of_quote", "quote_id", unique=True, postgresql_where=text("ended IS NULL")),
    Index("holds_of_order", "order_id", postgresql_where=text("state <> 'released'")),
    Index("holds_held", "expires_at", postgresql_where=text("state = 'held'")),
    Index("holds_created_at", "created_at", postgresql_using="brin"),
)

# What came back of a confirmed order, each time a row of its own; distributed by its hold.
returns = Table(
    "returns",
    metadata,
    Column("hold_id", UUID(as_uuid=True), nullable=False),
    Column("id", UUID(as_uuid=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("meters", ARRAY(Text), nullable=False),
    Column("amounts", ARRAY(BigInteger), nullable=False),
    Column("reply", LargeBinary, nullable=False),
    PrimaryKeyConstraint("hold_id", "id", name="returns_pkey"),
)

# What was added to customers' balances of points, or taken from them, by hand or by another system. What orders earn and redeem is in `holds`.
point_grants = Table(
    "point_grants",
    metadata,
    Column("customer", Text, nullable=False),
    Column("id", UUID(as_uuid=True), nullable=False),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    PrimaryKeyConstraint("customer", "id", name="point_grants_pkey"),
)
