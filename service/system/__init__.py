"""The service itself: health, metrics, description, demo and playground."""
