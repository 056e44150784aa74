"""Run the jobs of background threads, so that a failed job is logged and does not end its thread."""

import logging
from collections.abc import Callable
from typing import Any

from web import database, failures
from web.database import db

log = logging.getLogger("web")


def succeeds(name: str, job: Callable[[], Any]) -> bool:
    """Run `job` and return whether it succeeded; log a failure, on one line if the database or a disk failed."""
    try:
        job()
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
