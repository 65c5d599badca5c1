"""How Onionskin is reached: HTTP and the command line."""
