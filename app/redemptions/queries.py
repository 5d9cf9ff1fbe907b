"""The SQL of meters and holds, for the lanes' own connections. `draws` are arrays: meter, amount, and what the protocol needs besides."""

from typing import Final

# A plan made when the tables were empty must not be kept when they are full.
SESSION: Final = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan"

# The row that comes back is the newest version of what was waited for: whoever reads it looks at the state again.
LOCK_FOR_HOLDS: Final = """
SELECT id, quote_id, order_id, state, ended, floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
  floor(extract(epoch FROM changed_at) * 1000)::bigint AS changed_ms, draws, grants, reply
FROM holds WHERE id IN (
  SELECT id FROM holds WHERE quote_id = ANY($1::uuid[]) AND state <> 'released'
  UNION SELECT id FROM holds WHERE order_id = ANY($2::text[]) AND state <> 'released'
  UNION SELECT unnest($3::uuid[])
) ORDER BY id FOR UPDATE
"""

LOCK_FOR_CONFIRMS: Final = """
SELECT id, quote_id, order_id, state, ended, floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
  floor(extract(epoch FROM changed_at) * 1000)::bigint AS changed_ms, draws, grants, reply
FROM holds WHERE id IN (
  SELECT unnest($1::uuid[])
  UNION SELECT other.id FROM holds AS named JOIN holds AS other ON other.order_id = named.order_id AND other.state <> 'released'
  WHERE named.id = ANY($1::uuid[])
) ORDER BY id FOR UPDATE
"""

LOCK_HOLDS: Final = """
SELECT id, quote_id, order_id, state, ended, floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
  floor(extract(epoch FROM changed_at) * 1000)::bigint AS changed_ms, draws, grants, reply
FROM holds WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""

# Before any meter is locked, in order of id: who makes the same one at the same time is waited for.
MAKE_METERS: Final = """
INSERT INTO meters (id, customer, cap_wanted, cap_version, cap, held, used)
SELECT made.id, made.customer, 0, -1, 0, 0, 0 FROM unnest($1::text[], $2::text[]) AS made (id, customer) ORDER BY made.id
ON CONFLICT (id) DO NOTHING
"""

# The clock is read once a row, after its lock was got: the last row's is the one to go by.
LOCK_METERS: Final = """
SELECT locked.id, locked.cap_wanted, locked.cap_version, locked.cap, locked.held, locked.used,
  floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms
FROM (
  SELECT id, cap_wanted, cap_version, cap, held, used FROM meters WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
) AS locked
"""

TRY_LOCK_METERS: Final = """
SELECT id, cap_wanted, cap_version, cap, held, used FROM meters WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE SKIP LOCKED
"""

READ_CLOCK: Final = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

FIND_EXPIRED: Final = """
SELECT id, draws FROM holds
WHERE state = 'held' AND expires_at <= timestamptz 'epoch' + $1 * interval '1 millisecond'
AND EXISTS (SELECT FROM jsonb_array_elements(draws) AS draw WHERE draw ->> 0 = ANY($2::text[]))
ORDER BY expires_at LIMIT $3
"""

TRY_LOCK_EXPIRED: Final = """
SELECT id, quote_id, order_id, state, ended, floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
  floor(extract(epoch FROM changed_at) * 1000)::bigint AS changed_ms, draws, grants, reply
FROM holds WHERE id = ANY($1::uuid[]) AND state = 'held' ORDER BY id FOR UPDATE SKIP LOCKED
"""

FIND_TO_SWEEP: Final = """
SELECT id, quote_id, order_id, state, ended, floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
  floor(extract(epoch FROM changed_at) * 1000)::bigint AS changed_ms, draws, grants, reply
FROM holds WHERE state = 'held' AND expires_at <= clock_timestamp() ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
"""

CHANGE_HOLDS: Final = """
UPDATE holds SET state = changed.state, ended = changed.ended, changed_at = timestamptz 'epoch' + $4 * interval '1 millisecond'
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS changed (id, state, ended) WHERE holds.id = changed.id
"""

# In order of quote: who inserts a hold of the same quote at the same time is waited for, and then nothing is inserted.
STORE_HOLDS: Final = """
WITH stored AS (
  INSERT INTO holds (id, quote_id, order_id, state, ended, expires_at, draws, grants, reply)
  SELECT new.id, new.quote_id, new.order_id, new.state, new.ended, timestamptz 'epoch' + new.expires_ms * interval '1 millisecond',
    new.draws::jsonb, new.grants::jsonb, new.reply
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bytea[])
    AS new (id, quote_id, order_id, state, ended, expires_ms, draws, grants, reply)
  ORDER BY new.quote_id
  ON CONFLICT DO NOTHING
  RETURNING id
)
SELECT count(*) FROM stored
"""

STORE_METERS: Final = """
UPDATE meters SET cap_wanted = new.cap_wanted, cap_version = new.cap_version, cap = new.cap, held = new.held, used = new.used
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
  AS new (id, cap_wanted, cap_version, cap, held, used)
WHERE meters.id = new.id
"""

READ_HOLD: Final = """
SELECT id, quote_id, order_id, state, ended, floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
  floor(extract(epoch FROM changed_at) * 1000)::bigint AS changed_ms, draws, grants, reply
FROM holds WHERE id = $1
"""

# What each meter's holds sum up to, where that is not what the meter says.
DRIFT: Final = """
SELECT coalesce(meters.id, summed.id) AS id, meters.held, meters.used, summed.held AS summed_held, summed.used AS summed_used
FROM meters FULL JOIN (
  SELECT draw ->> 0 AS id, coalesce(sum((draw ->> 1)::bigint) FILTER (WHERE state = 'held'), 0)::bigint AS held,
    coalesce(sum((draw ->> 1)::bigint) FILTER (WHERE state = 'used'), 0)::bigint AS used
  FROM holds CROSS JOIN LATERAL jsonb_array_elements(draws) AS draw WHERE state <> 'released' GROUP BY draw ->> 0
) AS summed ON summed.id = meters.id
WHERE (coalesce(meters.held, 0), coalesce(meters.used, 0)) <> (coalesce(summed.held, 0), coalesce(summed.used, 0))
"""
