"""What `python -m app keys` does: makes, lists, rotates or revokes keys."""

import argparse
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import Database, transaction
from app.web.keys import KeyLimits, KeyRequest, RotateRequest, default_expiry, list_keys, make_key, revoke_key, rotate_key

type Act = Callable[[AsyncConnection], Awaitable[list[BaseModel]]]


async def run_act(database: Database, act: Act) -> list[BaseModel]:
    """What came of it, committed."""
    engine = database.engine()
    try:
        async with transaction(engine) as connection:
            return await act(connection)
    finally:
        await engine.dispose()


def key_act(arguments: argparse.Namespace) -> Act:
    """What the command line asks for. Ends the process with a usage message for what it cannot mean."""

    async def list_all(connection: AsyncConnection) -> list[BaseModel]:
        return [*await list_keys(connection)]

    async def revoke(connection: AsyncConnection) -> list[BaseModel]:
        await revoke_key(connection, arguments.id)
        return []

    async def rotate(connection: AsyncConnection) -> list[BaseModel]:
        return [await rotate_key(connection, arguments.id, overlap_seconds=asked.overlap_seconds)]

    async def make(connection: AsyncConnection) -> list[BaseModel]:
        expires_at = default_expiry(arguments.days)
        return [await make_key(connection, name=wanted.name, scopes=list(wanted.scopes), expires_at=expires_at, limits=wanted)]

    try:
        if arguments.act == "rotate":
            asked = RotateRequest(overlap_seconds=arguments.overlap_seconds)
            return rotate
        if arguments.act == "make":
            scopes = [scope.strip() for scope in (arguments.scopes or "").split(",") if scope.strip()]
            limits = {name: getattr(arguments, name) for name in KeyLimits.model_fields}
            wanted = KeyRequest.model_validate({"name": arguments.name or "", "scopes": scopes, **limits})
            return make
    except ValidationError as error:
        arguments.parser.error("; ".join(f"--{str(one['loc'][0]).replace('_', '-')}: {one['msg']}" for one in error.errors()))
    return list_all if arguments.act == "list" else revoke
