"""Fields and values of the API that this release does not enforce are refused, because accepting them would be a promise."""

from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def not_available(*allowed: Any) -> BeforeValidator:
    """Refuse every value but null and the allowed ones with the code `not_available`."""

    def check(value: Any) -> Any:
        if value is not None and value not in allowed:
            raise PydanticCustomError("not_available", "not available yet")
        return value

    return BeforeValidator(check)
