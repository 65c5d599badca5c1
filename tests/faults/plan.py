"""How often the campaign injects each fault."""

from tests.faults import (
    cancellation,
    concurrency,
    crashes,
    failover,
    mixed_load,
    model_faults,
    network_faults,
    power_losses,
    soak,
)

FULL = {
    "crashes": {crashes.WORKERS: 500, crashes.REDIS: 500},
    "power": {power_losses.LOSSES: 300},
    "failover": {failover.CLUSTER: 20, failover.SENTINEL: 20},
    "network": {fault.name: 50 for fault in network_faults.FAULTS},
    "concurrency": {concurrency.turns(policy): 12_000 for policy in concurrency.POLICIES}
    | {concurrency.echoed(policy): 1_000 for policy in concurrency.POLICIES},
    "cancellations": {cancellation.CANCELLED: 50_000},
    "everything": {mixed_load.turns(policy): 1_000 for policy in concurrency.POLICIES}
    | {cancellation.CANCELLED: 2_000},
    "soak": {soak.SECONDS: 1_800},
    "model": {fault.name: 20 for fault in (*model_faults.FAULTS, *model_faults.EMBEDDING)},
}
QUICK = {
    "crashes": {crashes.WORKERS: 6, crashes.REDIS: 6},
    "power": {power_losses.LOSSES: 6},
    "failover": {failover.CLUSTER: 1, failover.SENTINEL: 1},
    "network": {fault.name: 1 for fault in network_faults.FAULTS},
    "concurrency": {concurrency.echoed(policy): 100 for policy in concurrency.POLICIES},
    "cancellations": {cancellation.CANCELLED: 1_000},
    "everything": {mixed_load.turns("queue"): 100, cancellation.CANCELLED: 100},
    "soak": {soak.SECONDS: 20},
    "model": {fault.name: 1 for fault in (*model_faults.FAULTS, *model_faults.EMBEDDING)},
}
