"""Warnings that name the user's line of code, not one inside the libraries."""

import sys
import warnings

_LIBRARIES = {"mug_sklearn", "sklearn", "joblib", "sktime", "skbase", "aeon"}


def warn_user(message: str) -> None:
    """Issue a UserWarning at the call that led into this package or around it.

    Between the two lie wrappers of other libraries, as many as their versions and the
    pipeline have; so frames are counted.

    Parameters
    ----------
    message : str
    """
    stacklevel, frame = 2, sys._getframe(1)
    while frame.f_back and _package_of(frame.f_globals) in _LIBRARIES:
        stacklevel, frame = stacklevel + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel)


def _package_of(names: dict[str, object]) -> str:
    return str(names.get("__name__")).partition(".")[0]
