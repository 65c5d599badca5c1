"""What of that which is said is kept: private spans, personal data, and for how long."""
