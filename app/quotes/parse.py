"""Bytes in, checked structs out. Whatever is wrong ends here, with the path of the field."""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from app.errors import FieldError, MalformedJson, Problem, ValidationFailed
from app.pricing.basket import Basket
from app.pricing.currencies import CURRENCIES
from app.pricing.money import MILLI, parse_quantity_milli
from app.quotes.schemas import (
    BATCH_LINES_MAX,
    LINES_MAX,
    SKU_PATTERN,
    BatchEnvelope,
    Context,
    Customer,
    Line,
    PricesRequest,
    QuoteRequest,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_INSTANT_MS_MAX: Final = 7_258_118_400_000
_POSITIONS: Final = [str(position) for position in range(1, LINES_MAX + 1)]
# Possessive, because no shorter match of a part could help the rest.
_SKUS: Final = re.compile(rf"(?:{SKU_PATTERN}+\n)*+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_PLACE: Final = re.compile(r" - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`$")
_NAMED_FIELD: Final = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>[^`]*)`")
_NOBODY: Final = Customer()
_QUOTE: Final = msgspec.json.Decoder(QuoteRequest)
_PRICES: Final = msgspec.json.Decoder(PricesRequest)
_BATCH: Final = msgspec.json.Decoder(BatchEnvelope)
_CODE_OF_MESSAGE: Final = (
    ("Object missing", "missing"),
    ("Object contains unknown", "unknown_field"),
    ("of length", "length"),
    (">=", "out_of_bounds"),
    ("<=", "out_of_bounds"),
    ("got `", "type"),
)
encode_canonical: Final = msgspec.json.Encoder().encode


class Columns(NamedTuple):
    """The lines of a quote as columns."""

    skus: list[str]
    line_ids: list[str]
    quantities_milli: list[int]


class Understood(NamedTuple):
    """A quote's request that passed, and its canonical JSON: defaults left out, codes normalised, fields in the schema's order.

    The lines are in the columns and no longer in the request.
    """

    request: QuoteRequest
    canonical: bytes
    columns: Columns


def read_quote(raw: bytes) -> Understood:
    """Read the body of a quote. Raises MalformedJson or ValidationFailed."""
    request: QuoteRequest = _decode(_QUOTE, raw)
    canonical = encode_canonical(request)
    _refuse_duplicate_keys(raw, canonical)
    errors: list[FieldError] = []
    is_changed = _normalise(request, errors)
    columns = _columns(request.lines, errors)
    if errors:
        raise ValidationFailed(errors=errors)
    if is_changed:
        canonical = encode_canonical(request)
    # The columns say it all, and memory that is given back at once is still warm for the next request.
    request.lines = []
    return Understood(request, canonical, columns)


def read_prices(raw: bytes) -> PricesRequest:
    """Read the body of a listing. Raises MalformedJson or ValidationFailed."""
    request: PricesRequest = _decode(_PRICES, raw)
    _refuse_duplicate_keys(raw, encode_canonical(request))
    errors: list[FieldError] = []
    _normalise(request, errors)
    _check_skus(request.skus, "skus[{}]", errors)
    if errors:
        raise ValidationFailed(errors=errors)
    return request


def read_batch(raw: bytes) -> list[bytes]:
    """Read the envelope of a batch: the bytes of each quote, which `read_quote` reads. Raises MalformedJson or ValidationFailed."""
    envelope: BatchEnvelope = _decode(_BATCH, raw)
    quotes = [bytes(quote) for quote in envelope.quotes]
    # The one colon that no quote has is that of "quotes"; another one is a second "quotes".
    if raw.count(b":") != 1 + sum(quote.count(b":") for quote in quotes):
        raise MalformedJson(errors=[FieldError("quotes", "duplicate_key", "the key is there twice")])
    return quotes


def read_batch_quotes(quotes: list[bytes]) -> Iterator[Understood | Problem]:
    """Read each quote of a batch, or say what is wrong with it. Raises ValidationFailed when they have too many lines together."""
    line_count = 0
    for quote in quotes:
        try:
            understood = read_quote(quote)
        except (MalformedJson, ValidationFailed) as problem:
            yield problem
            continue
        line_count += len(understood.columns.skus)
        if line_count > BATCH_LINES_MAX:
            raise ValidationFailed(
                errors=[FieldError("quotes", "length", f"the quotes have more than {BATCH_LINES_MAX} lines together")]
            )
        yield understood


def read_stored(canonical: bytes) -> Understood:
    """Read a request as it was stored; it passed every check before."""
    request = _QUOTE.decode(canonical)
    errors: list[FieldError] = []
    columns = _columns(request.lines, errors)
    assert not errors, errors
    return Understood(request, canonical, columns)


def basket_of(understood: Understood, instant_ms: int) -> Basket:
    """The core's view of a quote's request, priced at `instant_ms` unless the request states its own instant."""
    request, _, columns = understood
    return _basket(request, columns, instant_ms, shipping_minor=request.shipping, points=request.points)


def listing_basket(request: PricesRequest, instant_ms: int) -> Basket:
    """The context of a listing, as a basket without lines: each SKU is priced in it by itself."""
    return _basket(request, Columns([], [], []), instant_ms, shipping_minor=None, points=0)


def instant_ms_of(at: datetime) -> int:
    """Milliseconds since 1970 UTC, the rest cut off."""
    return (at - _EPOCH) // _MILLISECOND


def instant_of(instant_ms: int) -> datetime:
    """The instant in UTC."""
    return _EPOCH + instant_ms * _MILLISECOND


def format_instant(instant_ms: int) -> str:
    """RFC 3339 in UTC with three decimals.

    >>> format_instant(1_764_000_000_007)
    '2025-11-24T16:00:00.007Z'
    """
    seconds, milliseconds = divmod(instant_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def at_member(instant_ms: int) -> bytes:
    """The end of a request's canonical JSON that states the instant; see `with_instant`."""
    return b',"at":"%s"}' % format_instant(instant_ms).encode()


def with_instant(understood: Understood, at: bytes) -> bytes:
    """The request as understood: the canonical JSON with the instant it is priced at, which is `at_member` of it."""
    return understood.canonical[:-1] + at if understood.request.at is None else understood.canonical


def normalise_code(code: str) -> str:
    """The form in which a code is looked up."""
    return code.strip().upper() if code.isascii() else unicodedata.normalize("NFKC", code.strip()).upper()


def _decode(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise ValidationFailed(errors=[_field_error(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _refuse_malformed(raw)


def _refuse_malformed(raw: bytes) -> NoReturn:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8 at byte {error.start}.") from None
    raise MalformedJson("The body cannot be read as JSON.") from None


def _field_error(text: str) -> FieldError:
    """Turn msgspec's message into ours; it names fields and types and never the input's values."""
    path = ""
    if place := _PLACE.search(text):
        path = place["path"].removeprefix(".")
        text = text[: place.start()]
        if place["key"]:
            text = f"{text} as a key"
    if named := _NAMED_FIELD.match(text):
        path = f"{path}.{named['name']}" if path else named["name"]
    code = next((code for part, code in _CODE_OF_MESSAGE if part in text), "format")
    return FieldError(_CONTROL.sub("?", path)[:300], code, _CONTROL.sub("?", text)[:300])


def _refuse_duplicate_keys(raw: bytes, canonical: bytes) -> None:
    """Refuse a body in which an object has a key twice, or a string has a control character.

    Decoding drops what a duplicate key held, and encoding adds no colon, so equal counts of colons prove that nothing was dropped:
    first against the canonical JSON, which is at hand and may be the very same bytes, and, where that left out nulls and defaults,
    against a plain decoding. An escape could hide a colon or a control character; those bodies, which are rare, are walked.
    """
    if b"\\" not in raw and b"\x7f" not in raw:
        if raw == canonical:
            return
        colons = raw.count(b":")
        if colons == canonical.count(b":") or colons == msgspec.json.encode(msgspec.json.decode(raw)).count(b":"):
            return
    _walk(json.loads(raw, object_pairs_hook=_Pairs), "")


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object with duplicates."""


def _walk(node: Any, path: str) -> None:
    if isinstance(node, _Pairs):
        keys = set()
        for key, value in node:
            place = f"{path}.{_CONTROL.sub('?', key)}" if path else _CONTROL.sub("?", key)
            if key in keys:
                raise MalformedJson(errors=[FieldError(place, "duplicate_key", "the key is there twice")])
            if _CONTROL.search(key):
                raise ValidationFailed(errors=[FieldError(place, "format", "a control character")])
            keys.add(key)
            _walk(value, place)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _walk(value, f"{path}[{index}]")
    elif isinstance(node, str) and _CONTROL.search(node):
        raise ValidationFailed(errors=[FieldError(path, "format", "a control character")])


def _normalise(request: Context, errors: list[FieldError]) -> bool:
    """Check what is around the lines, and bring codes and the stated instant into their normal form; tells whether that changed any."""
    if request.currency not in CURRENCIES:
        errors.append(FieldError("currency", "unknown_currency", "not an ISO 4217 currency in use"))
    is_changed = False
    if request.codes:
        codes = list(map(normalise_code, request.codes))
        if "" in codes:
            errors.append(FieldError(f"codes[{codes.index('')}]", "length", "an empty code"))
        codes = list(dict.fromkeys(codes))
        is_changed = codes != request.codes
        request.codes = codes
    if request.at is not None:
        instant_ms = instant_ms_of(request.at)
        if not 0 <= instant_ms < _INSTANT_MS_MAX:
            errors.append(FieldError("at", "out_of_bounds", "an instant lies between 1970 and 2200"))
            return False
        is_changed = True
        request.at = instant_of(instant_ms)
    return is_changed


def _columns(lines: list[Line], errors: list[FieldError]) -> Columns:
    skus = [line.sku for line in lines]
    _check_skus(skus, "lines[{}].sku", errors)
    line_ids = _POSITIONS[: len(lines)]
    if (stated := [line.id for line in lines]) != line_ids:
        line_ids = [line_id or position for line_id, position in zip(stated, line_ids, strict=True)]
        if len(set(line_ids)) != len(line_ids):
            _tell_duplicate_ids(line_ids, errors)
    # bool is not among the JSON types of a quantity, so a plain type test is enough here.
    quantities_milli = [
        quantity * MILLI if type(quantity := line.quantity) is int else _quantity_milli(line, lines, errors) for line in lines
    ]
    return Columns(skus, line_ids, quantities_milli)


def _tell_duplicate_ids(line_ids: list[str], errors: list[FieldError]) -> None:
    seen = set()
    for index, line_id in enumerate(line_ids):
        if line_id in seen:
            errors.append(FieldError(f"lines[{index}].id", "duplicate_id", "another line has this id"))
        seen.add(line_id)


def _quantity_milli(line: Line, lines: list[Line], errors: list[FieldError]) -> int:
    try:
        return parse_quantity_milli(line.quantity)
    except ValueError as error:
        index = next(index for index, one in enumerate(lines) if one is line)
        errors.append(FieldError(f"lines[{index}].quantity", "format", str(error)))
        return 0


def _check_skus(skus: list[str], place: str, errors: list[FieldError]) -> None:
    if _SKUS.fullmatch("\n".join(skus) + "\n"):
        return
    for index, sku in enumerate(skus):
        if not _SKUS.fullmatch(sku + "\n"):
            errors.append(FieldError(place.format(index), "format", f"a SKU is {SKU_PATTERN}"))


def _basket(request: Context, columns: Columns, instant_ms: int, *, shipping_minor: int | None, points: int) -> Basket:
    skus, line_ids, quantities_milli = columns
    at_us = 1000 * (instant_ms if request.at is None else instant_ms_of(request.at))
    customer = request.customer or _NOBODY
    # By position, because names would take three times as long.
    return Basket(
        request.currency,
        skus,
        line_ids,
        quantities_milli,
        at_us,
        request.channel,
        request.store,
        request.market,
        customer.id,
        None if customer.segments is None else tuple(customer.segments),
        customer.level,
        customer.orders,
        customer.spend,
        customer.days_since_last_order,
        tuple(request.codes),
        request.attributes,
        customer.attributes,
        shipping_minor,
        points,
    )
