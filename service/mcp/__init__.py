"""Memory over the Model Context Protocol: the same API, the same authentication and limits."""
