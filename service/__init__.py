"""How Strata is reached: HTTP and the command line."""
