"""
A service that trades until it is told to stop.
"""

import logging
import time

from chimera_log import exit_on_sigterm, init_logging, log_execution_attempt

init_logging()
exit_on_sigterm()

logger = logging.getLogger("bot")
logger.info("started")
try:
    while True:
        log_execution_attempt(strategy="backrun", status="included")
        time.sleep(1)
finally:
    logger.info("stopped")
