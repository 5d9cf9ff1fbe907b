"""What the service fills in of a body, once the transaction tells what there is already."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.pricebook import queries
from app.pricebook.documents import Change
from app.pricebook.drafts import find_draft
from app.pricebook.load import decode_body
from app.resources.resource import Resource


async def completed(connection: AsyncConnection, resource: Resource, changes: Sequence[Change]) -> list[Change]:
    """The changes with what the resource fills in. The caller holds the lock under which such documents are written."""
    if resource.complete is None:
        return list(changes)
    done: list[Change] = []
    for change in changes:
        if change.body is None:
            done.append(change)
            continue

        async def earlier(document_id: str = change.id) -> Mapping[str, Any] | None:
            draft = await find_draft(connection, resource.name, document_id)
            if draft is not None and draft.body is not None:
                return draft.body
            row = (await connection.exec_driver_sql(queries.DOCUMENT, (resource.name, document_id))).one_or_none()
            return None if row is None else decode_body(row.body)

        done.append(change._replace(body=await resource.complete(change.body, earlier)))
    return done
