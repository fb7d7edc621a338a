"""``python -m space``: the command line."""

from space.cli import app

if __name__ == "__main__":
    app()
