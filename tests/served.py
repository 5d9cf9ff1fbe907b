"""A whole service behind a real socket, in a thread of this process: for what speaks HTTP by itself."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from app.cli import bind, make_server
from app.db.engine import Database
from app.main import create_app
from tests.service import settings_in


@contextlib.contextmanager
def served(database: Database, folder: Path, **values: str) -> Iterator[str]:
    """The address of a service that runs on the database and keeps its files in `folder`."""
    listener = bind("127.0.0.1", 0)
    settings = settings_in(folder, **values)
    server = make_server(settings, create_app(settings, database=database))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the service did not start")
            thread.join(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()
