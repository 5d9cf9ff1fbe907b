"""What routes declare of their callers: the scopes that a key must have."""

from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from app.web.auth import SCOPES, Authenticator, KeyScope, Principal


class RequiresScope(SecurityBase):
    """The dependency of a route that declares which scope it needs; made by `requires`."""

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes
        self.scheme_name = "key"
        self.model = HTTPBearerModel(bearerFormat="cw_<id>_<secret>", description="An API key; its scopes say what it may do.")

    async def __call__(self, request: Request) -> Principal:
        # StrictRoute has asked already, before it read the body.
        found = request.scope.get("centwise.principal")
        if isinstance(found, Principal):
            found.require(*self.scopes)
            return found
        authenticator: Authenticator = request.app.state.authenticator
        principal = await authenticator.authenticate(request.scope, *self.scopes)
        request.scope["centwise.principal"] = principal
        return principal


def requires(*scopes: KeyScope) -> RequiresScope:
    """What a route under /v1 depends on: `Annotated[Principal, Depends(requires("write"))]` gives it the caller as well."""
    assert scopes, "a route needs at least one scope"
    assert set(scopes) <= set(SCOPES), f"unknown scope among {scopes}"
    return RequiresScope(*scopes)
