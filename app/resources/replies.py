"""How a document is shown."""

from collections.abc import Mapping
from typing import Any

from app.pricebook.drafts import Draft
from app.web.etags import quoted
from app.web.idempotency import Reply, json_reply


def shown(
    document_id: str, body: Mapping[str, Any] | None, *, revision: int, version: int | None, is_draft: bool
) -> dict[str, Any]:
    """A document with what is known about it. A draft that deletes has no body."""
    return {
        "id": document_id,
        **(body or {}),
        "revision": revision,
        "version": version,
        "draft": is_draft,
        "deleted": body is None,
    }


def shown_draft(draft: Draft) -> dict[str, Any]:
    return shown(draft.id, draft.body, revision=draft.base_revision, version=None, is_draft=True)


def document_reply(content: Mapping[str, Any], etag: str, *, status: int = 200) -> Reply:
    """A document with its ETag."""
    return json_reply(content, status=status, headers={"ETag": quoted(etag)})
