"""``python -m chatsync``: the same as the command ``chatsync``."""

from chatsync.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
