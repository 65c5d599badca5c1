"""How often each thing is to happen."""

from tests.faults import crashes, power_losses

FULL = {
    "crashes": {crashes.WORKERS: 500, crashes.REDIS: 500},
    "power": {power_losses.LOSSES: 300},
}
QUICK = {
    "crashes": {crashes.WORKERS: 6, crashes.REDIS: 6},
    "power": {power_losses.LOSSES: 6},
}
