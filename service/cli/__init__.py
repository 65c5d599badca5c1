"""The command line `onionskin`."""
