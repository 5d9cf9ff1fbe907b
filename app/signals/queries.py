"""The SQL of facts and sales."""

from typing import Final

# A fact that is sent again is the same fact.
INSERT_FACTS: Final = """
INSERT INTO signal_facts (kind, sku, at, received_at, body)
SELECT DISTINCT $1, fact.sku, fact.at::timestamptz, $2::timestamptz, fact.body::jsonb
FROM unnest($3::text[], $4::text[], $5::text[]) AS fact (sku, at, body)
WHERE NOT EXISTS (
  SELECT FROM signal_facts AS known
  WHERE known.sku = fact.sku AND known.kind = $1 AND known.at = fact.at::timestamptz AND known.body = fact.body::jsonb
)"""

INSERT_SALES: Final = """
INSERT INTO sales (sku, id, at, quantity_milli, paid_minor, currency, channel, store, customer, promotion, quote)
SELECT sale.sku, sale.id, sale.at::timestamptz, sale.quantity_milli, sale.paid_minor, sale.currency, sale.channel, sale.store, sale.customer,
  sale.promotion, sale.quote
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bool[], $11::uuid[])
  AS sale (sku, id, at, quantity_milli, paid_minor, currency, channel, store, customer, promotion, quote)
ON CONFLICT (sku, id) DO NOTHING"""

# The facts in force by key; $2 is the last key of the page before, $3 a SKU or empty. Keys are the SKU, or begin with it and a bar.
FACT_PAGE: Final = """
SELECT d.id, d.body::text AS body FROM documents AS d
WHERE d.resource = $1 AND d.id > $2 AND d.to_version IS NULL
  AND ($3::text = '' OR d.id >= $3::text AND d.id < $3::text || '}' AND split_part(d.id, '|', 1) = $3::text)
ORDER BY d.id LIMIT $4"""
