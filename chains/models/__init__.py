"""Chat models: which one answers, its circuit breaker, and the offline model."""
