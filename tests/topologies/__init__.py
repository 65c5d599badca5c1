"""Redis as it stands in production: a cluster, and a primary that Sentinels watch, on loopback."""
