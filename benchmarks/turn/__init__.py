"""What a turn costs, beside others: `strata bench turn`."""
