"""Server processes: one, several, workers, and the supervisor of demonstrations."""
