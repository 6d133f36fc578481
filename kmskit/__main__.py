"""`python -m kmskit` is the command line."""

from kmskit.cli import main

if __name__ == "__main__":
    main()
