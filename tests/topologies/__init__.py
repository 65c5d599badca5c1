"""Redis as in production, on loopback: a cluster, and a primary that Sentinels watch."""
