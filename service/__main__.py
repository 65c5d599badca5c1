"""`python -m service` is `strata`."""

from service.cli import main

main()
