"""`python -m onionskin.service` is `onionskin`."""

from onionskin.service.cli.main import main

main()
