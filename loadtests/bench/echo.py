"""The reference of P1 and P2: bare uvicorn, with the flags that we give ours, answers each request with the bytes of our reply to it.

It reads the body, as any server must, and finds the reply by the request's first header, `X-Index`, which is one look-up in a
dictionary; our own server ignores it. So both get the same bytes and send the same body, and nothing else happens here.

    python -m loadtests.bench.echo PORT REPLIES

REPLIES is MessagePack: {index: reply}.
"""

import sys
from pathlib import Path

import msgspec
import uvicorn
from starlette.types import Receive, Scope, Send


class Echo:
    """The ASGI app."""

    def __init__(self, replies: dict[bytes, bytes]) -> None:
        self._answers = {
            index: (
                {
                    "type": "http.response.start",
                    "status": 201,
                    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(reply))],
                },
                {"type": "http.response.body", "body": reply},
            )
            for index, reply in replies.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
            return
        while (await receive()).get("more_body", False):
            pass
        start, body = self._answers[scope["headers"][0][1]]
        await send(start)
        await send(body)


def main(port: int, replies: Path) -> None:
    """Serve until SIGTERM."""
    uvicorn.run(
        Echo(msgspec.msgpack.decode(replies.read_bytes(), type=dict[bytes, bytes])),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=2048,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
