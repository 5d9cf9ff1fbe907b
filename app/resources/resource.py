"""What a resource is: its name, the models of its bodies and rows, and what no single field can tell."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.errors import FieldError
from app.pricebook.documents import Change
from app.resources.fields import Body, Id

type Earlier = Callable[[], Awaitable[Mapping[str, Any] | None]]


class Stored(BaseModel):
    """What a reply says of a document beside its body."""

    model_config = ConfigDict(frozen=True)

    id: str
    revision: Annotated[int, Field(description="1 for the first one published, 0 before that.")]
    version: Annotated[int | None, Field(description="The version since which the revision is in force; null in a draft.")] = None
    draft: Annotated[bool, Field(description="Whether this was written and not published.")] = False
    deleted: Annotated[bool, Field(description="Whether the draft deletes the document; its body is left out then.")] = False


def _no_problems(_: Mapping[str, Any]) -> list[FieldError]:
    return []


def _no_refusal(_id: str, _body: Mapping[str, Any] | None) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Resource:
    """One sort of document.

    `members` are the request models, several where the body's `kind` chooses. `row_key` is the member that names the document in an import row
    (`id`, or `sku` where the rest of the id is in the body). `check` finds in a normalised body what no single field can tell; `refuse` raises
    Conflict for changes (body None deletes) that the service does not allow. `complete` fills in what the service chooses where the body leaves it
    out; it may ask for the body there is, drafted or else published.
    """

    name: str
    singular: str  # for the names of operations and models
    members: tuple[type[Body], ...]
    tag: str
    row_key: str = "id"
    document_id: Callable[[str, Mapping[str, Any]], str] = lambda key, _: key
    check: Callable[[Mapping[str, Any]], list[FieldError]] = _no_problems
    refuse: Callable[[str, Mapping[str, Any] | None], None] = _no_refusal
    complete: Callable[[Mapping[str, Any], Earlier], Awaitable[Mapping[str, Any]]] | None = None
    row_members: tuple[type[Body], ...] = field(init=False)
    reply_members: tuple[type[BaseModel], ...] = field(init=False)
    row_adapter: TypeAdapter[Any] = field(init=False)

    def __post_init__(self) -> None:
        key: dict[str, Any] = {self.row_key: Id}
        rows = tuple(_extended(member, f"{member.__name__}Row", key) for member in self.members)
        object.__setattr__(self, "row_members", rows)
        object.__setattr__(self, "reply_members", tuple(_reply(member, key) for member in self.members))
        object.__setattr__(self, "row_adapter", TypeAdapter(union(rows)))

    def body_of(self, key: str, model: Body) -> dict[str, Any]:
        """The normalised body of a validated request: defaults filled in, plain JSON values."""
        body = model.model_dump()
        if self.row_key != "id":
            body = {self.row_key: key, **body}
        return body

    def change_of_row(self, row: Body) -> Change:
        """The change that a validated import row makes."""
        body = row.model_dump()
        key: str = body[self.row_key]
        if self.row_key == "id":
            del body["id"]
        return Change(self.name, self.document_id(key, body), body)


def union(members: tuple[type[BaseModel], ...]) -> Any:
    """One model, or several told apart by `kind`."""
    if len(members) == 1:
        return members[0]
    return Annotated[reduce(or_, members), Field(discriminator="kind")]


def _extended(member: type[Body], name: str, fields: Mapping[str, Any]) -> type[Body]:
    namespace = {"__module__": member.__module__, "__doc__": member.__doc__, "__annotations__": dict(fields)}
    return _made(member, name, (member,), namespace)


def _reply(member: type[Body], key: Mapping[str, Any]) -> type[BaseModel]:
    namespace = {
        "__module__": member.__module__,
        "__doc__": member.__doc__,
        "__annotations__": dict(key),
        # Replies may gain members; requests may not.
        "model_config": ConfigDict(extra="ignore"),
    }
    return _made(member, f"{member.__name__}Reply", (Stored, member), namespace)


def _made[M: BaseModel](member: type[M], name: str, bases: tuple[type[BaseModel], ...], namespace: dict[str, Any]) -> type[M]:
    metaclass: Any = type(member)
    made: type[M] = metaclass(name, bases, namespace)
    return made
