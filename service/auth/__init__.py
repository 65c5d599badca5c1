"""Who asks, and whose memory they may reach."""
