"""Command line: ``python -m mug_sklearn demo``, ``fit``, ``embed``, ``benchmark``."""

import argparse
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from .cli import demo, embed
from .device import is_out_of_memory


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, default=None
        The arguments; those of the process if None.

    Returns
    -------
    code : int
        0; 2 if the input cannot be read, the output cannot be written or memory does
        not suffice; 130 if it was interrupted. The benchmark has 1, too, for fits that
        failed.

    Examples
    --------
    >>> from mug_sklearn.__main__ import main
    >>> main(["demo", "--dataset", "does-not-exist"])
    2
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        if arguments[:1] == ["benchmark"]:
            # Here alone: no other command should wait for what it imports.
            from .benchmark import cli as benchmark

            return benchmark.main(arguments[1:])
        args = _parser().parse_args(arguments)
        args.run(args)
    except (OSError, ValueError, ImportError) as error:
        print(f"mug_sklearn: error: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"mug_sklearn: error: memory does not suffice. {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mug_sklearn: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mug_sklearn",
        description="Unsupervised multi-granularity representations of time series.",
        epilog="COMMAND --help says more, with examples.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    embed.add_commands(commands)
    demo.add_command(commands)
    commands.add_parser(
        "benchmark", add_help=False, help="compare methods on many data sets"
    )
    return parser


if __name__ == "__main__":
    if isinstance(sys.stdout, TextIOWrapper):
        # A name or sign that is not in the encoding of a pipe must not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
