"""The SQL of holds, for asyncpg. Whoever locks: holds before meters, each in the order of their ids; keys are written last, in order.

Some arrays stand behind a SELECT of their own. Of a short array that it can see Postgres expects less work than of any array, and so plans the
statement again each time, which takes longer than a small batch does, and of `decisions` a time for each of its partitions. What it cannot see it
plans once. That is done where there is only one way to go, which no growth of a table makes a wrong one.
"""

from typing import Final

HOLD_COLUMNS: Final = "id, quote_id, order_id, state, ended, created_at, expires_at, changed_at, detail, reply"

# An id of our own says when it was issued; one that a client made has a row of its own, and that counts.
QUOTES: Final = """
SELECT decision.*
FROM unnest((SELECT $1::uuid[]), (SELECT $2::timestamptz[])) AS wanted (id, issued_at)
LEFT JOIN decision_keys AS key ON key.id = wanted.id
CROSS JOIN LATERAL (
  SELECT id, customer, reply FROM decisions
  WHERE issued_at = coalesce(key.issued_at, wanted.issued_at) AND id = wanted.id OFFSET 0
) AS decision
"""

# Either has one index that it can go by; with the same condition on both, it could go through all of the other's.
HOLDS_TO_TAKE: Final = """
SELECT found.id FROM unnest((SELECT $1::uuid[])) AS wanted (quote_id)
CROSS JOIN LATERAL (SELECT id FROM holds WHERE holds.quote_id = wanted.quote_id AND ended IS NULL OFFSET 0) AS found
UNION ALL
SELECT found.id FROM unnest((SELECT $2::text[])) AS wanted (order_id)
CROSS JOIN LATERAL (SELECT id FROM holds WHERE holds.order_id = wanted.order_id AND state <> 'released' OFFSET 0) AS found
"""

# Those that an earlier try of the same request may have taken, whatever has become of them.
HOLDS_TO_TAKE_AGAIN: Final = f"{HOLDS_TO_TAKE}UNION ALL SELECT id FROM holds WHERE id = ANY($3::uuid[])\n"

HOLDS_TO_CHANGE: Final = """
SELECT id FROM holds WHERE id = ANY($1::uuid[])
UNION SELECT other.id FROM holds JOIN holds AS other USING (order_id) WHERE holds.id = ANY($1::uuid[]) AND other.state <> 'released'
"""

LOCK_HOLDS: Final = f"SELECT {HOLD_COLUMNS} FROM holds WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE"

LOCK_EXPIRED: Final = f"""
SELECT {HOLD_COLUMNS} FROM holds
WHERE state = 'held' AND expires_at <= clock_timestamp() AND meters && $1::text[] AND id <> ALL($2::uuid[])
ORDER BY id FOR UPDATE SKIP LOCKED LIMIT $3
"""

# Asked under the lock: whoever was passed over is somebody else's to release.
EXPIRED_METERS: Final = """
SELECT DISTINCT unnest(meters) AS meter FROM holds
WHERE state = 'held' AND expires_at <= $1 AND meters && $2::text[] AND id <> ALL($3::uuid[])
"""

LOCK_TO_SWEEP: Final = f"""
SELECT {HOLD_COLUMNS} FROM holds WHERE state = 'held' AND expires_at <= clock_timestamp()
ORDER BY expires_at FOR UPDATE SKIP LOCKED LIMIT $1
"""

MAKE_METERS: Final = """
INSERT INTO meters (id, customer, cap_wanted, cap_version, cap, held, used)
SELECT made.id, made.customer, made.cap, made.cap_version, made.cap, 0, 0
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS made (id, customer, cap, cap_version)
ORDER BY made.id
ON CONFLICT (id) DO NOTHING
"""

# Row by row, so that it takes the locks in the order of the ids. A clock beside FOR UPDATE is read before its row's lock is waited for, and so it
# stands outside: the last row's was read under all locks.
LOCK_METERS: Final = """
SELECT locked.id, locked.cap_wanted, locked.cap_version, locked.cap, locked.held, locked.used,
       floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms
FROM (SELECT id FROM unnest((SELECT $1::text[])) AS one (id) ORDER BY id COLLATE "C") AS wanted
CROSS JOIN LATERAL (
  SELECT id, cap_wanted, cap_version, cap, held, used FROM meters WHERE meters.id = wanted.id FOR UPDATE
) AS locked
"""

# Of those who look rows up by their keys: a table that was small when it was analysed may be large when the plan is used.
BY_KEYS: Final = "SET enable_seqscan = off"

NOW: Final = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

# All of them are there, and locked. Written like this they are found by their key, whatever the planner believes of the table; joined, a table
# that has grown since it was last analysed was read whole for each batch.
SET_METERS: Final = """
INSERT INTO meters (id, cap_wanted, cap_version, cap, held, used)
SELECT new.id, new.cap_wanted, new.cap_version, new.cap, new.held, new.used
FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::bigint[]), (SELECT $4::bigint[]), (SELECT $5::bigint[]), (SELECT $6::bigint[]))
  AS new (id, cap_wanted, cap_version, cap, held, used)
ON CONFLICT (id) DO UPDATE SET cap_wanted = excluded.cap_wanted, cap_version = excluded.cap_version, cap = excluded.cap,
  held = excluded.held, used = excluded.used
"""

SET_HOLDS: Final = """
UPDATE holds SET state = new.state, ended = new.ended, changed_at = $4
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, state, ended)
WHERE holds.id = new.id
"""

# Arrays of arrays have to be even, so that the meters of a hold come as one text each, and their amounts. Whoever was faster with a quote makes it
# fail: with ON CONFLICT each row is looked for before it is written, a quarter of the statement.
ADD_HOLDS: Final = """
INSERT INTO holds
  (id, quote_id, order_id, state, ended, created_at, expires_at, changed_at, meters, amounts, detail, reply)
SELECT new.id, new.quote_id, new.order_id, new.state, new.ended, $11, new.expires_at, $11,
       string_to_array(new.meters, E'\\x01'), string_to_array(new.amounts, E'\\x01')::bigint[], new.detail, new.reply
FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[]), (SELECT $3::text[]), (SELECT $4::text[]), (SELECT $5::text[]), (SELECT $6::timestamptz[]),
            (SELECT $7::text[]), (SELECT $8::text[]), (SELECT $9::bytea[]), (SELECT $10::bytea[]))
  AS new (id, quote_id, order_id, state, ended, expires_at, meters, amounts, detail, reply)
ORDER BY new.quote_id
"""

RETURNS_OF: Final = "SELECT hold_id, id, lines, reply FROM returns WHERE hold_id = ANY($1::uuid[])"

ADD_RETURNS: Final = """
INSERT INTO returns (hold_id, id, created_at, lines, meters, amounts, reply)
SELECT new.hold_id, new.id, $7, new.lines::jsonb, string_to_array(new.meters, E'\\x01'),
       string_to_array(new.amounts, E'\\x01')::bigint[], new.reply
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[]) AS new (hold_id, id, lines, meters, amounts, reply)
"""

KEYS: Final = """
SELECT stored.*
FROM unnest((SELECT $1::text[]), (SELECT $2::text[])) AS wanted (scope, key)
CROSS JOIN LATERAL (
  SELECT scope, key, request_sha256, status, reply FROM idempotency
  WHERE idempotency.scope = wanted.scope AND idempotency.key = wanted.key OFFSET 0
) AS stored
"""

ADD_KEYS: Final = """
INSERT INTO idempotency (scope, key, request_sha256, status, headers, reply, created_at)
SELECT new.scope, new.key, new.request_sha256, new.status, new.headers::jsonb, new.reply, $7
FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::bytea[]), (SELECT $4::integer[]), (SELECT $5::text[]), (SELECT $6::bytea[]))
  AS new (scope, key, request_sha256, status, headers, reply)
ORDER BY new.scope, new.key
"""

# What meters say, against what holds, returns and holds that are not kept any more add up to.
DRIFT: Final = """
WITH taken AS (
  SELECT one.meter, sum(one.amount) FILTER (WHERE state = 'held') AS held, sum(one.amount) FILTER (WHERE state = 'used') AS used
  FROM holds, unnest(meters, amounts) AS one (meter, amount) WHERE state <> 'released' GROUP BY one.meter
), back AS (
  SELECT one.meter, sum(one.amount) AS returned FROM returns, unnest(meters, amounts) AS one (meter, amount) GROUP BY one.meter
), added AS (
  SELECT coalesce(taken.meter, forgotten.id) AS meter, coalesce(taken.held, 0)::bigint AS held,
         (coalesce(taken.used, 0) + coalesce(forgotten.used, 0) - coalesce(back.returned, 0))::bigint AS used
  FROM taken FULL JOIN meters_forgotten AS forgotten ON forgotten.id = taken.meter
  LEFT JOIN back ON back.meter = coalesce(taken.meter, forgotten.id)
)
SELECT coalesce(meters.id, added.meter) AS id, coalesce(meters.held, 0) AS held, coalesce(added.held, 0) AS held_by_holds,
       coalesce(meters.used, 0) AS used, coalesce(added.used, 0) AS used_by_holds
FROM meters FULL JOIN added ON added.meter = meters.id
WHERE coalesce(meters.held, 0) <> coalesce(added.held, 0) OR coalesce(meters.used, 0) <> coalesce(added.used, 0)
ORDER BY 1
"""

CLOCK: Final = "SELECT clock_timestamp()"

# A hold is changed after it was created, so that the first condition follows from the second; there is an index for it. $1 is not after $2.
OLD_HOLDS: Final = """
SELECT id FROM holds
WHERE created_at < $2 AND (state = 'used' AND changed_at < $1 OR state = 'released' AND changed_at < $2) LIMIT $3
"""

# What was used or released stays that.
LOCK_OLD_HOLDS: Final = "SELECT id FROM holds WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED"

# In order of id, so that those who do this at once do not wait for one another in a circle.
FORGET_USED: Final = """
INSERT INTO meters_forgotten AS forgotten (id, used)
SELECT one.meter, sum(one.amount)::bigint FROM (
  SELECT unnest(meters) AS meter, unnest(amounts) AS amount FROM holds WHERE id = ANY($1::uuid[]) AND state = 'used'
  UNION ALL SELECT unnest(meters), -unnest(amounts) FROM returns WHERE hold_id = ANY($1::uuid[])
) AS one
GROUP BY one.meter HAVING sum(one.amount) <> 0 ORDER BY one.meter COLLATE "C"
ON CONFLICT (id) DO UPDATE SET used = forgotten.used + excluded.used
"""

REMOVE_RETURNS: Final = "DELETE FROM returns WHERE hold_id = ANY($1::uuid[])"

REMOVE_HOLDS: Final = "DELETE FROM holds WHERE id = ANY($1::uuid[])"

# The pattern finds what may be of a window; what is one, its id tells to who reads it.
OLD_METERS: Final = """
SELECT id FROM meters LEFT JOIN meters_forgotten AS forgotten USING (id)
WHERE meters.held = 0 AND meters.used = coalesce(forgotten.used, 0)
  AND id ~ '/(day|week|month)/[0-9]{4}-[0-9]{2}-[0-9]{2}$' AND right(id, 10) < $1::text
LIMIT $2
"""

LOCK_OLD_METERS: Final = """
SELECT id FROM meters WHERE id = ANY($1::text[]) AND held = 0 ORDER BY id FOR UPDATE SKIP LOCKED
"""

REMOVE_METERS: Final = """
DELETE FROM meters
WHERE id = ANY($1::text[]) AND held = 0 AND used = coalesce((SELECT used FROM meters_forgotten AS one WHERE one.id = meters.id), 0)
RETURNING id
"""

REMOVE_FORGOTTEN: Final = "DELETE FROM meters_forgotten WHERE id = ANY($1::text[])"

TAKEN: Final = "SELECT id, cap_wanted AS cap, cap_version, held + used AS taken FROM meters WHERE id = ANY($1::text[])"

USED: Final = """
SELECT found.* FROM unnest((SELECT $1::text[])) AS wanted (id)
CROSS JOIN LATERAL (SELECT id, cap_wanted AS cap, cap_version, used AS taken FROM meters WHERE meters.id = wanted.id OFFSET 0) AS found
"""

DOCUMENT_AT: Final = """
SELECT id, body FROM documents
WHERE resource = $3 AND id = $1 AND from_version <= $2 AND (to_version IS NULL OR to_version > $2)
"""

COUPONS_AT: Final = """
SELECT id, body FROM documents
WHERE resource = 'coupons' AND body ->> 'promotion' = $1 AND from_version <= $2 AND (to_version IS NULL OR to_version > $2)
"""
