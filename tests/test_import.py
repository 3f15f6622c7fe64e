"""What importing the package costs."""

import subprocess
import sys


def test_import_loads_neither_sktime_nor_matplotlib():
    code = (
        "import sys, mug_sklearn; "
        "print({'sktime', 'matplotlib'} & {name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
