"""Redis: clients, connections, Lua scripts, durability, diagnostics and the embedded server."""
