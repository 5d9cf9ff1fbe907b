"""What each serving process makes at its start, made once in the process that they are forked from: schemas and their validators are found made.

It is imported by the fork server, whose preload is a list of modules; nothing is opened, nothing is connected, and a fork
still makes an app of its own.
"""

import gc

from app.api import create_api
from app.db.engine import Database
from app.main import Service
from app.settings import Settings

create_api(Service(Settings(open_loopback=True), Database("postgresql://nobody@127.0.0.1:1/none")))
gc.collect()
gc.freeze()
