"""`python -m openloop_cli`."""

from openloop_cli.cli import main

if __name__ == "__main__":
    main()
