"""Previews: quotes that bind nobody. They are gathered and priced as quotes are, and need no database."""

from collections.abc import Callable

from app.errors import InternalError
from app.lanes.gather import Batch, Gather
from app.metrics import Metrics
from app.quotes.ids import IssueClock
from app.quotes.lane import LaneLimits
from app.quotes.parse import format_instant
from app.quotes.pricing_pass import Answered, Entry, Pricing


class PreviewLane:
    """Prices previews, batch after batch."""

    def __init__(self, *, pricing: Pricing, limits: LaneLimits, quote_ttl_s: int, clock: IssueClock, metrics: Metrics) -> None:
        self._pricing = pricing
        self._quote_ttl_ms = quote_ttl_s * 1000
        self._clock = clock
        self._metrics = metrics
        self._gather: Gather[Entry] = Gather(
            self._work,
            fail=_fail,
            rows_max=limits.rows_max,
            octets_max=limits.octets_max,
            batch_rows_max=limits.batch_rows_max,
            batch_lines_max=limits.batch_lines_max,
        )

    @property
    def expected_wait_s(self) -> float:
        """How long a basket that comes now would be inside."""
        return self._gather.expected_wait_s

    def start(self) -> None:
        """Begin to work."""
        self._gather.start()

    async def stop(self) -> None:
        """Finish what is inside, refuse the rest."""
        await self._gather.stop()

    async def answer(self, entry: Entry) -> None:
        """Have the entry priced and wait for its outcome. Raises Unavailable when too many wait."""
        await self._submit(entry).done

    def enter(self, entry: Entry, call: Callable[[], None]) -> None:
        """Have the entry priced; `call` is called when its outcome is there. Raises Unavailable when too many wait."""
        self._submit(entry).calls.append(call)

    def _submit(self, entry: Entry) -> Batch[Entry]:
        return self._gather.submit([entry], line_count=entry.line_count, octets=len(entry.understood.canonical))

    async def _work(self, batch: Batch[Entry]) -> None:
        issued_ms = self._clock.read_ms()
        await self._pricing.run(batch.entries, issued_ms)
        expires_text = format_instant(issued_ms + self._quote_ttl_ms)
        instants = f'"issued_at":"{format_instant(issued_ms)}","expires_at":"{expires_text}",'
        for entry in batch.entries:
            if entry.outcome is None:
                assert entry.book is not None
                assert entry.encoded is not None
                head = f'{{"id":null,"version":{entry.book.version},{instants}'
                reply = b"".join((head.encode(), entry.encoded.body, b',"token":null}'))
                entry.outcome = Answered(reply, is_replay=False)


def _fail(entry: Entry, problem: InternalError) -> None:
    entry.outcome = problem
