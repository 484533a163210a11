"""`python -m windlass` is the `windlass` program."""

from windlass.cli import main

if __name__ == "__main__":
    main()
