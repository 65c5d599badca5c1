"""How often each thing is to happen."""

from tests.faults import crashes, network_faults, power_losses

FULL = {
    "crashes": {crashes.WORKERS: 500, crashes.REDIS: 500},
    "power": {power_losses.LOSSES: 300},
    "network": {fault.name: 50 for fault in network_faults.FAULTS},
}
QUICK = {
    "crashes": {crashes.WORKERS: 6, crashes.REDIS: 6},
    "power": {power_losses.LOSSES: 6},
    "network": {fault.name: 1 for fault in network_faults.FAULTS},
}
