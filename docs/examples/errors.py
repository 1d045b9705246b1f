"""Errors are logged with their trace, as one line; secrets in them are hidden."""

from chimera_log import get_logger, init_logging

init_logging()
logger = get_logger("rpc")

try:
    raise ConnectionError("wss://bot:hunter2@eth.example.org/ws: connection reset")
except ConnectionError as error:
    logger.error("operation_failed", context={"error": str(error)}, exc_info=True)
