"""``python -m mug_sklearn.distributed``, alone or under torchrun."""

import sys

from .torchrun import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
