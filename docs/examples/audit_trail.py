"""Trade only if it is recorded; later, find out whether anybody changed a record."""

from chimera_log import AuditError, get_logger, init_logging, log_execution_attempt
from chimera_log.audit.verify import verify

init_logging()
logger = get_logger("executor")

try:
    # It returns when the disk has the record.  Never ask for that for a stop-loss.
    log_execution_attempt(strategy="cross_dex", status="sending", required=True)
except AuditError as error:
    logger.critical("not_traded", context={"why": str(error)})

# What `chimera-log verify logs/executions.log` does, for programs.
report = verify("logs/executions.log")
logger.info("verified", context={"status": report.status, "reason": report.reason})
