"""What a user and a turn cost, and from that how many of both a cluster serves."""
