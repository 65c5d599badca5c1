"""Background tasks: runner, handlers, sweeper."""
