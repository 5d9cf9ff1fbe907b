"""The reference of P4 in the ordinary way: what is sent and answered as pydantic models, and a decision as a row of an ORM."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=64)
    sku: str = Field(min_length=1, max_length=128)
    quantity: int = Field(ge=1, le=1_000_000)


class Customer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(None, max_length=128)
    segments: list[str] | None = Field(None, max_length=50)
    level: str | None = None
    orders: int | None = Field(None, ge=0)


class QuoteRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    currency: str = Field(min_length=3, max_length=3)
    channel: str | None = None
    market: str | None = None
    customer: Customer | None = None
    codes: list[str] = Field(default_factory=list, max_length=50)
    lines: list[Line] = Field(min_length=1, max_length=500)


class Adjustment(BaseModel):
    kind: str
    rule: str
    name: str
    amount: int


class PricedLine(BaseModel):
    id: str
    sku: str
    quantity: str
    list_unit_price: str
    unit_price: str
    subtotal: int
    discount: int
    total: int
    adjustments: list[Adjustment]


class NotApplied(BaseModel):
    rule: str
    reason: str
    attribute: str | None = None
    needed: str | None = None


class Quote(BaseModel):
    id: UUID
    version: int
    issued_at: datetime
    expires_at: datetime
    currency: str
    lines: list[PricedLine]
    subtotal: int
    discount: int
    total: int
    not_applied: list[NotApplied]


class Base(DeclarativeBase):
    pass


class StoredDecision(Base):
    __tablename__ = "ordinary_decisions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    issued_at: Mapped[datetime] = mapped_column(index=True)
    currency: Mapped[str]
    channel: Mapped[str | None]
    customer: Mapped[str | None]
    total_minor: Mapped[int] = mapped_column(BigInteger)
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    reply: Mapped[dict[str, Any]] = mapped_column(JSONB)
