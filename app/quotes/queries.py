"""The SQL of decisions, for asyncpg: the lane's own connection writes with it, and the readers read."""

from typing import Final

COLUMNS: Final = (
    "issued_at",
    "id",
    "version",
    "currency",
    "channel",
    "customer",
    "codes",
    "subtotal_minor",
    "discount_minor",
    "total_minor",
    "line_count",
    "source",
    "request",
    "reply",
)

# Rows are claimed in the order of their ids, so two processes with overlapping sets wait for one another and never in a circle.
CLAIM_KEYS: Final = """
INSERT INTO decision_keys (id, issued_at, request_sha256, created_at)
SELECT claimed.id, $3, claimed.request_sha256, $3
FROM unnest((SELECT $1::uuid[]), (SELECT $2::bytea[])) AS claimed (id, request_sha256)
ORDER BY claimed.id
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

KEYS: Final = "SELECT id, issued_at, request_sha256 FROM decision_keys WHERE id = ANY($1::uuid[])"

# OFFSET 0 keeps the inner query apart, so that each row looks up its own partition by its own key instead of a join over all of them.
REPLIES: Final = """
SELECT wanted.id, decision.reply
FROM unnest((SELECT $1::timestamptz[]), (SELECT $2::uuid[])) AS wanted (issued_at, id)
CROSS JOIN LATERAL (
  SELECT reply FROM decisions WHERE issued_at = wanted.issued_at AND id = wanted.id OFFSET 0
) AS decision
"""

REFUSALS: Final = "SELECT key, reply FROM idempotency WHERE scope = $1 AND key = ANY($2::text[])"

STORE_REFUSALS: Final = """
INSERT INTO idempotency (scope, key, request_sha256, status, headers, reply, created_at)
SELECT $1, refused.key, refused.request_sha256, 422, '{}', refused.reply, $5
FROM unnest((SELECT $2::text[]), (SELECT $3::bytea[]), (SELECT $4::bytea[])) AS refused (key, request_sha256, reply)
"""

STORED_IDS: Final = "SELECT id FROM decisions WHERE issued_at = $1 AND id = ANY($2::uuid[])"

# The one place where a row of decisions is changed: nobody was told the bytes that stood there, and somebody was told these.
SET_REPLY: Final = "UPDATE decisions SET reply = $3 WHERE issued_at = $1 AND id = $2"
