"""The SQL of versions, documents, drafts and the audit trail, with numbered parameters as Postgres reads them.

The same text runs on a bare asyncpg connection (the refresher's own) and through SQLAlchemy's `exec_driver_sql` (requests).
"""

from typing import Final

# One publisher at a time: versions are made in a row, and each is checked against the one before it.
LOCK_PUBLISHING: Final = "SELECT pg_advisory_xact_lock(727001)"
# Taken after LOCK_PUBLISHING and before any row of drafts or audit is touched: there is one order of locks, so no deadlock.
LOCK_DRAFTS: Final = "SELECT pg_advisory_xact_lock(727003)"
LIMIT_LOCK_WAIT: Final = "SET LOCAL lock_timeout = '20s'"

LATEST_VERSION: Final = """
SELECT v.version, v.published_at FROM versions AS v ORDER BY v.version DESC LIMIT 1"""

# Also tells whether the version held ($1) is of this database: another database has another instant for it, or none.
LATEST_AND_HELD_VERSION: Final = """
SELECT v.version, v.published_at, (SELECT held.published_at FROM versions AS held WHERE held.version = $1) AS held_published_at
FROM versions AS v ORDER BY v.version DESC LIMIT 1"""

VERSION: Final = "SELECT v.version, v.published_at FROM versions AS v WHERE v.version = $1"

CURRENT_DOCUMENTS: Final = """
SELECT d.resource, d.id, d.revision, d.body::text AS body FROM documents AS d WHERE d.to_version IS NULL"""

DOCUMENTS_AT: Final = """
SELECT d.resource, d.id, d.revision, d.body::text AS body FROM documents AS d
WHERE d.from_version <= $1 AND (d.to_version IS NULL OR d.to_version > $1)"""

# What happened after version $1 up to $2: a null body is a document that was closed. Of a document that was closed and inserted again
# both rows come; the closed ones first.
CHANGED_DOCUMENTS: Final = """
SELECT d.resource, d.id, d.revision, CASE WHEN d.to_version IS NULL OR d.to_version > $2 THEN d.body::text END AS body
FROM documents AS d
WHERE d.from_version > $1 AND d.from_version <= $2 OR d.to_version > $1 AND d.to_version <= $2
ORDER BY d.to_version IS NULL OR d.to_version > $2"""

LAST_REVISIONS: Final = """
SELECT wanted.position, max(d.revision) AS revision
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (resource, id, position)
JOIN documents AS d ON d.resource = wanted.resource AND d.id = wanted.id
GROUP BY wanted.position"""

# The revisions of prices whose ids begin with a key, that were in force after an instant or are still: ids sort by their bytes.
PRICES_SINCE: Final = """
SELECT wanted.position, d.id, d.body::text AS body, began.published_at AS began_at, ended.published_at AS ended_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) WITH ORDINALITY AS wanted (low, high, since, position)
JOIN documents AS d ON d.resource = 'prices' AND d.id >= wanted.low AND d.id < wanted.high
JOIN versions AS began ON began.version = d.from_version
LEFT JOIN versions AS ended ON ended.version = d.to_version
WHERE ended.version IS NULL OR ended.published_at > wanted.since"""

INSERT_VERSION: Final = """
INSERT INTO versions (version, published_at, published_by, kind, note, body_of) VALUES ($1, $2, $3, $4, $5, $6)"""

CLOSE_DOCUMENTS: Final = """
UPDATE documents AS d SET to_version = $3
FROM unnest($1::text[], $2::text[]) AS closed (resource, id)
WHERE d.resource = closed.resource AND d.id = closed.id AND d.to_version IS NULL"""

INSERT_DOCUMENTS: Final = """
INSERT INTO documents (resource, id, revision, body, etag, from_version)
SELECT opened.resource, opened.id, opened.revision, opened.body::jsonb, opened.etag, $6
FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[]) AS opened (resource, id, revision, body, etag)"""

NOTIFY_VERSION: Final = "SELECT pg_notify('centwise_version', $1)"

DOCUMENT: Final = """
SELECT d.id, d.revision, d.body::text AS body, d.etag, d.from_version FROM documents AS d
WHERE d.resource = $1 AND d.id = $2 AND d.to_version IS NULL"""

# Pages of published documents go by id; $2 is the last id of the page before, $3 a prefix of the id.
DOCUMENT_PAGE: Final = """
SELECT d.id, d.revision, d.body::text AS body, d.etag, d.from_version FROM documents AS d
WHERE d.resource = $1 AND d.id > $2 AND starts_with(d.id, $3) AND d.to_version IS NULL
ORDER BY d.id LIMIT $4"""

# History is never updated, so pages of one version agree with one another however long the reader takes.
DOCUMENT_PAGE_AT: Final = """
SELECT d.id, d.body::text AS body FROM documents AS d
WHERE d.resource = $1 AND d.id > $2 AND d.from_version <= $3 AND (d.to_version IS NULL OR d.to_version > $3)
ORDER BY d.id LIMIT $4"""

DRAFT: Final = """
SELECT d.resource, d.id, d.body::text AS body, d.base_revision, d.etag, d.release_id, d.author FROM drafts AS d
WHERE d.resource = $1 AND d.id = $2"""

DRAFTS_OF: Final = """
SELECT d.resource, d.id, d.body::text AS body, d.base_revision, d.etag, d.release_id, d.author FROM drafts AS d
JOIN unnest($1::text[], $2::text[]) AS wanted (resource, id) ON d.resource = wanted.resource AND d.id = wanted.id
ORDER BY d.resource, d.id"""

DRAFT_PAGE: Final = """
SELECT d.resource, d.id, d.body::text AS body, d.base_revision, d.etag, d.release_id, d.author FROM drafts AS d
WHERE d.resource = $1 AND d.id > $2 AND starts_with(d.id, $3)
ORDER BY d.id LIMIT $4"""

UNGATHERED_DRAFTS: Final = """
SELECT d.resource, d.id, d.body::text AS body, d.base_revision, d.etag, d.release_id, d.author FROM drafts AS d
WHERE d.release_id IS NULL ORDER BY d.resource, d.id"""

DRAFTS_OF_RELEASE: Final = """
SELECT d.resource, d.id, d.body::text AS body, d.base_revision, d.etag, d.release_id, d.author FROM drafts AS d
WHERE d.release_id = $1 ORDER BY d.resource, d.id"""

# The revision that a draft is based on is that of the moment it was first written.
SAVE_DRAFTS: Final = """
INSERT INTO drafts (resource, id, body, base_revision, etag, author, updated_at)
SELECT written.resource, written.id, written.body::jsonb, coalesce(d.revision, 0), written.etag, $5, clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS written (resource, id, body, etag)
LEFT JOIN documents AS d ON d.resource = written.resource AND d.id = written.id AND d.to_version IS NULL
ON CONFLICT (resource, id) DO UPDATE SET body = excluded.body, etag = excluded.etag, author = excluded.author, updated_at = excluded.updated_at"""

DROP_DRAFTS: Final = """
DELETE FROM drafts AS d USING unnest($1::text[], $2::text[]) AS dropped (resource, id)
WHERE d.resource = dropped.resource AND d.id = dropped.id"""

GATHER_DRAFTS: Final = """
UPDATE drafts AS d SET release_id = $3 FROM unnest($1::text[], $2::text[]) AS gathered (resource, id)
WHERE d.resource = gathered.resource AND d.id = gathered.id"""

LAST_AUDIT_HASH: Final = "SELECT a.hash FROM audit AS a ORDER BY a.id DESC LIMIT 1"

# The rows take their ids in the order of the arrays: the chain is read by id.
INSERT_AUDIT: Final = """
INSERT INTO audit (at, actor, action, resource, document_id, before, after, version, previous_hash, hash)
SELECT $1, $2, $3, entry.resource, entry.document_id, entry.before::jsonb, entry.after::jsonb, $4, entry.previous_hash, entry.hash
FROM unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::bytea[]) WITH ORDINALITY
  AS entry (resource, document_id, before, after, previous_hash, hash, position)
ORDER BY entry.position"""

AUDIT_PAGE: Final = """
SELECT a.id, a.at, a.actor, a.action, a.resource, a.document_id, a.before::text AS before, a.after::text AS after, a.version,
  a.previous_hash, a.hash
FROM audit AS a
WHERE a.id < $1 AND ($2::text IS NULL OR a.resource = $2) AND ($3::text IS NULL OR a.document_id = $3) AND ($4::text IS NULL OR a.actor = $4)
ORDER BY a.id DESC LIMIT $5"""

AUDIT_CHAIN: Final = """
SELECT a.id, a.at, a.actor, a.action, a.resource, a.document_id, a.before::text AS before, a.after::text AS after, a.version,
  a.previous_hash, a.hash
FROM audit AS a WHERE a.id > $1 ORDER BY a.id LIMIT $2"""
