"""Other field names, another order, and fields of every line: configuration only."""

import logging

from chimera_log import init_logging

init_logging(
    {
        "version": 1,
        "formatters": {
            "json": {
                "()": "chimera_log.JsonFormatter",
                "fields": {
                    "@timestamp": "timestamp",
                    "message": "event",
                    "line": "lineno",
                },
                "static": {"service": "bot", "environment": "staging"},
            }
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stdout",
            }
        },
        "root": {"level": "INFO", "handlers": ["console"]},
    }
)

logging.getLogger("bot").info("started")
