"""`onionskin bench scaling`: costs of a user and a turn, and clusters simulated with them."""
