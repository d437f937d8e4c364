"""The standard library's `logging`, on its way to the host's log."""

from __future__ import annotations

import logging

from polyhost._log import emit
from polyhost._module import plain


class HostHandler(logging.Handler):
    """Sends the records of `logging` to the host."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = min(max(record.levelno // 10 + 1, 1), 5)
            emit(level, plain(record.name), self.format(record))
        except Exception:
            self.handleError(record)


def connect() -> None:
    root = logging.getLogger()
    root.addHandler(HostHandler())
    root.setLevel(logging.INFO)
