"""Users' files: numpy's arrays read without pickles, files replaced all or nothing."""

import os
import secrets
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from lzma import LZMAError
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

# What numpy raises on array files with malformed content; TypeError where it sorts a
# header's keys of several kinds, RuntimeError where an archive is encrypted or
# compressed in an unknown way. (UnicodeError is a ValueError.) KeyError is pandas'.
MALFORMED = (
    ValueError,
    KeyError,
    TokenError,
    EOFError,
    TypeError,
    OverflowError,
    RuntimeError,
    BadZipFile,
    LZMAError,
    zlib.error,
)


def load_arrays(path: Path, mmap_mode: Literal["r"] | None = None) -> Any:
    """Load a file that numpy wrote, without pickles.

    Raises
    ------
    ValueError
        If numpy did not write the file; numpy itself would take it for a pickle.
    """
    with path.open("rb") as file:
        if not file.read(6).startswith((b"\x93NUMPY", b"PK")):
            raise ValueError("it is no file that numpy.save or numpy.savez wrote")
    return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)


def load_archive(path: Path) -> NpzFile:
    """Load a file that has to be an archive of arrays, as `load_arrays` does.

    Raises
    ------
    ValueError
        If it is no archive.
    """
    content = load_arrays(path)
    if isinstance(content, np.ndarray):
        raise ValueError("it is no archive, but a single array, for which .npy stands")
    return content


def line_of_text(error: Exception, lines: Iterable[tuple[int, list[str]]]) -> str:
    """Where the text is that was no number, "line 7: " for instance.

    Parameters
    ----------
    error : Exception
        Which may be of another kind, for which nothing is said.
    lines : iterable of tuple of int and list of str
        Numbers and cells of the file's lines.
    """
    _, is_of_text, text = str(error).partition("could not convert string to float: ")
    for number, cells in lines if is_of_text else ():
        if text in {repr(cell) for cell in cells}:
            return f"line {number}: "
    return ""


@contextmanager
def replaced_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a temporary file, which takes the place of `path` in the end.

    If anything is raised inside, `path` stays as it was. A link to a file stays a link.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If `path` is something else than a file.
    OSError
        If the file cannot be written, such as on a full disk; the message names it.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(target.parent)!r} for {target.name!r}"
        )
    if target.exists() and not target.is_file():
        raise ValueError(
            f"{os.fspath(path)!r} is not a regular file, so it cannot be replaced."
        )
    temporary = _temporary_beside(target)
    try:
        temporary.touch(exist_ok=False)
        # Those of the replaced file, or the usual ones; the writer may set others.
        permissions = (target if target.exists() else temporary).stat().st_mode
        _set_permissions(temporary, 0o600)  # while its content comes
        yield temporary
        _set_permissions(temporary, stat.S_IMODE(permissions))
        os.replace(temporary, target)
    except BaseException as error:
        # An interrupt may come before it exists, or after it was moved. Windows deletes
        # no file that is read-only, as the replaced one may be, or open elsewhere.
        _set_permissions(temporary, 0o600)
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            message = f"{os.fspath(path)!r} is not written: {error.strerror or error}"
            if error.errno is None:
                raise OSError(message) from error
            raise OSError(error.errno, message) from error
        raise


def check_replaceable(
    path: Path, name: str, sources: Mapping[str, Path | None]
) -> None:
    """Refuse, before any work, a path that `replaced_file` could not write later.

    Parameters
    ----------
    path : Path
        The value of an argument.
    name : str
        Name of that argument, for messages.
    sources : mapping of str to Path or None
        Other arguments and the files that they name, which must be kept.

    Raises
    ------
    ValueError
        If the folder does not exist or cannot be written to, or if the path is that of
        a source or of something that is not a regular file.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {str(path.parent)!r} for {name}.")
    if target.is_dir():
        raise ValueError(f"{name} is a folder, {str(path)!r}; a file is accepted.")
    if target.exists() and not target.is_file():
        raise ValueError(f"{name} is no file, {str(path)!r}; a file is accepted.")
    for other, source in sources.items():
        if source and source.exists() and target.exists() and target.samefile(source):
            raise ValueError(
                f"{name} is {other}, {str(path)!r}; it would be overwritten."
            )
    try:
        # Not by tempfile: on Windows some versions of Python try for ever.
        temporary = _temporary_beside(target)
        temporary.touch(exist_ok=False)
        temporary.unlink()
        if sys.platform == "win32" and target.exists():
            target.open("r+b").close()  # what is read-only is not replaced there
    except OSError as error:
        raise ValueError(
            f"{name} cannot be written, {str(path)!r}: {error.strerror}."
        ) from error


def _temporary_beside(target: Path) -> Path:
    return target.with_name(f".mug_sklearn.{secrets.token_hex(8)}")


def _set_permissions(path: Path, mode: int) -> None:
    """Set them where there are any: on a FAT or network drive, it may be refused."""
    with suppress(OSError):
        path.chmod(mode)
