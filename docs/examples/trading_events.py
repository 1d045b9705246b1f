"""The five events of a trading bot."""

from chimera_log import (
    init_logging,
    log_execution_attempt,
    log_performance_metrics,
    log_safety_violation,
    log_state_divergence,
    log_state_transition,
)

init_logging(log_level="INFO")

log_state_transition("scanning", "executing", "edge above threshold", edge_bps=14)
log_execution_attempt(
    strategy="cross_dex",
    status="reverted",
    block_number=19_000_000,
    tx_hash="0x" + "ab" * 32,
    gas_used=212_345,
    expected_profit_wei=3 * 10**16,
    error="execution reverted: K",
)
log_state_divergence("weth_balance", 10**18, 9 * 10**17, unit="wei")
log_safety_violation("max_daily_loss_eth", 1.5, 1.7, action="trading_halted")
log_performance_metrics(
    {"latency": 8.4, "attempts": 12},
    units={"latency": "Milliseconds", "attempts": "Count"},
    dimensions={"strategy": "cross_dex"},
)
