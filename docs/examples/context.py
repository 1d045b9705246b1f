"""Say what is known once: bound context reaches every record made inside."""

import asyncio

from chimera_log import bound_context, get_logger, init_logging

logger = get_logger("state_engine")


@bound_context(task="reconcile")
async def reconcile(block: int) -> None:
    with bound_context(block=block):
        logger.info("reconciled", context={"accounts": 3})


async def main() -> None:
    await asyncio.gather(reconcile(19_000_000), reconcile(19_000_001))


init_logging()
asyncio.run(main())
