"""Plain `logging`, configured by YAML, with none of our functions called."""

import logging
import logging.config
from pathlib import Path

import yaml

logging.config.dictConfig(yaml.safe_load(Path("logging.yaml").read_text()))

logger = logging.getLogger("opportunity_detector")
logger.info(
    "opportunity_found", extra={"context": {"pool": "WETH/USDC", "edge_bps": 12}}
)
logger.warning(
    "price_stale", extra={"age_seconds": 4.2}
)  # flat extras join the context
