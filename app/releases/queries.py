"""The SQL of releases."""

from typing import Final

INSERT_RELEASE: Final = """
INSERT INTO releases (id, name, state, created_at, created_by) VALUES ($1, $2, 'open', $3, $4)"""

RELEASE: Final = """
SELECT r.id, r.name, r.state, r.created_at, r.created_by, r.closed_at, r.closed_by, r.version FROM releases AS r WHERE r.id = $1"""

# Newest first; $1 and $2 are the creation instant and id of the last one shown, null on the first page.
RELEASE_PAGE: Final = """
SELECT r.id, r.name, r.state, r.created_at, r.created_by, r.closed_at, r.closed_by, r.version FROM releases AS r
WHERE $1::timestamptz IS NULL OR (r.created_at, r.id) < ($1, $2::uuid)
ORDER BY r.created_at DESC, r.id DESC LIMIT $3"""

CLOSE_RELEASE: Final = """
UPDATE releases AS r SET state = $2, closed_at = $3, closed_by = $4, version = $5 WHERE r.id = $1"""

# What differs between the documents in force and those of version $1: the body of then, null where there was none.
CHANGES_TO_VERSION: Final = """
SELECT coalesce(past.resource, present.resource) AS resource, coalesce(past.id, present.id) AS id, past.body::text AS body
FROM (
  SELECT d.resource, d.id, d.body FROM documents AS d WHERE d.from_version <= $1 AND (d.to_version IS NULL OR d.to_version > $1)
) AS past
FULL JOIN (
  SELECT d.resource, d.id, d.body FROM documents AS d WHERE d.to_version IS NULL
) AS present ON present.resource = past.resource AND present.id = past.id
WHERE past.body IS DISTINCT FROM present.body
ORDER BY 1, 2"""
