"""Run the work of background threads, which go on when it fails."""

import logging
from collections.abc import Callable
from typing import Any

from web import database, failures
from web.database import db

log = logging.getLogger("web")


def succeeds(name: str, work: Callable[[], Any]) -> bool:
    """Run `work` and return whether it succeeded; log a failure, on one line if it is of the database or a disk."""
    try:
        work()
        return True
    except database.UNAVAILABLE as error:
        log.error("%s failed: the database failed: %s", name, database.describe(error))
    except Exception as error:
        if isinstance(error, OSError) and failures.is_disk(error):
            failures.log_disk(error)
        else:
            log.exception("%s failed", name)
    db.session.rollback()
    return False
