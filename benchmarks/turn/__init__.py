"""What a turn costs, beside others: `onionskin bench turn`."""
