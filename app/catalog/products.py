"""Products and the attributes that conditions may name."""

from typing import Annotated, Literal

from pydantic import Field

from app.resources.fields import AttributeName, Body, CategoryPath, Name
from app.resources.resource import Resource


class Product(Body):
    """What is sold, and what scopes may ask about it."""

    name: Name
    category: Annotated[CategoryPath | None, Field(description="A path, for example `shoes/running`.")] = None
    brand: Name | None = None
    tags: Annotated[list[Name], Field(max_length=200)] = []
    attributes: Annotated[dict[AttributeName, Name], Field(max_length=200)] = {}


class Attribute(Body):
    """An attribute that requests may carry and conditions may name, as `attributes.<id>`."""

    type: Literal["string", "integer", "decimal", "boolean"]
    personal: Annotated[bool, Field(description="Whether it is personal data: a price that used it says so.")] = False


PRODUCTS = Resource("products", "Product", (Product,), "catalog")
ATTRIBUTES = Resource("attributes", "Attribute", (Attribute,), "catalog")
