"""``python -m kukla`` is the command ``kukla``."""

from kukla.cli import main

if __name__ == "__main__":
    main()
