"""``python -m fedgenbench`` is the command ``fedgenbench``."""

from fedgenbench.cli import main

if __name__ == "__main__":
    main(prog_name="fedgenbench")
