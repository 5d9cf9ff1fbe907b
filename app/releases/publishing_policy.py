"""The publishing policy: what may be put in force without a release."""

from typing import Annotated

from pydantic import Field

from app.resources.fields import Body
from app.resources.resource import Resource


class PublishingPolicy(Body):
    """One for the whole service."""

    publish_now: Annotated[
        bool,
        Field(
            description="Whether a single change and an import may be published at once; else everything goes through releases."
        ),
    ] = True


PUBLISHING_POLICY = Resource("publishing-policy", "PublishingPolicy", (PublishingPolicy,), "releases")
