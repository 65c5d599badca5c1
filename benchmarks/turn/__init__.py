"""`onionskin bench turn`: the cost of a turn, compared with other designs."""
