"""`python -m idiff` is the `idiff` command."""

from idiff.cli import console

if __name__ == "__main__":
    console()
