"""The reference of P4 as a server: FastAPI, pydantic in and out, loops over rules, one ORM commit for each request.

    python -m loadtests.bench.ordinary PORT SHOP DATABASE_URL

SHOP is the documents of `loadtests.books.shop` as MessagePack. It runs under uvicorn with uvloop and httptools and without an access log.
"""

import contextlib
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import uvicorn
from fastapi import FastAPI, HTTPException
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from loadtests.bench.ordinary.models import Base, Quote, QuoteRequest, StoredDecision
from loadtests.bench.ordinary.pricing import Shop, UnknownSku


def create_app(shop: Shop, database_url: str) -> FastAPI:
    """The app; it makes its table when it starts."""
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=20, max_overflow=0)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/quotes", status_code=201)
    async def quote(request: QuoteRequest) -> Quote:
        now = datetime.now(UTC)
        try:
            lines, not_applied = shop.price(request, now)
        except UnknownSku as error:
            raise HTTPException(422, f"unknown SKU {error}") from None
        subtotal, total = sum(line.subtotal for line in lines), sum(line.total for line in lines)
        reply = Quote(
            id=uuid.uuid4(),
            version=1,
            issued_at=now,
            expires_at=now + timedelta(minutes=15),
            currency=request.currency,
            lines=lines,
            subtotal=subtotal,
            discount=subtotal - total,
            total=total,
            not_applied=not_applied,
        )
        async with sessions() as session, session.begin():
            session.add(
                StoredDecision(
                    id=reply.id,
                    issued_at=now.replace(tzinfo=None),
                    currency=request.currency,
                    channel=request.channel,
                    customer=None if request.customer is None else request.customer.id,
                    total_minor=total,
                    request=request.model_dump(mode="json"),
                    reply=reply.model_dump(mode="json"),
                )
            )
        return reply

    return app


def main(port: int, path: Path, database_url: str) -> None:
    """Serve until SIGTERM."""
    shop = Shop(msgspec.msgpack.decode(path.read_bytes()))
    app = create_app(shop, database_url)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        date_header=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
