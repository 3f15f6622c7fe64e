"""Callbacks for training, in addition to scikit-learn's.

`MUGTransformer.set_callbacks` takes any callback of scikit-learn's framework. An epoch
of training is a task of `fit`, and a callback whose ``on_fit_task_end`` returns True
makes it the last one.
"""

import re
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

from ._callback_support import EPOCH, CallbackContext
from ._types import Int
from .persistence import require_form_in_file

__all__ = ["Checkpoint"]


class Checkpoint:
    """Write a checkpoint every few epochs, from which a fit can be resumed.

    It is set on a `MUGTransformer`, possibly inside a pipeline or a search. A
    checkpoint is a file that `MUGTransformer.load` reads as if `fit` had stopped there;
    `MUGTransformer.resume` continues the training, and ends where an uninterrupted fit
    ends.

    Parameters
    ----------
    dirpath : str or path-like
        Folder of the checkpoints, made if it is missing. Their names are
        ``epoch-0001.safetensors`` and so on; files of the same name are replaced, all
        others stay, also those of the later epochs of an earlier fit. A fit inside a
        search or pipeline gets its own subfolder, named after its place there.
        FeatureUnion and cross_validate do not tell callbacks that place, so their fits
        share one folder and overwrite each other's files.
    every_n_epochs : int, default=1
        Epochs from one checkpoint to the next. Each checkpoint fits the shapelets and
        the readout, as the end of `fit` does.

    Raises
    ------
    ValueError
        If `every_n_epochs` is not an integer of at least 1; at the start of `fit`, if
        `dirpath` is a file or the estimator's parameters cannot be written to one.
    TypeError
        At the start of `fit`, if it is set on an estimator of another class.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.callbacks import Checkpoint
    >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
    >>> mug = MUGTransformer(max_epochs=3, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mug = mug.set_callbacks(Checkpoint(folder, every_n_epochs=2)).fit(X)
    ...     (path,) = Path(folder).iterdir()
    ...     resumed = MUGTransformer.load(path).resume(X)
    >>> path.name
    'epoch-0002.safetensors'
    >>> bool((resumed.transform(X) == mug.transform(X)).all())
    True
    """

    def __init__(self, dirpath: str | PathLike[str], every_n_epochs: Int = 1) -> None:
        is_whole = isinstance(every_n_epochs, Integral)
        if not is_whole or isinstance(every_n_epochs, bool) or every_n_epochs < 1:
            raise ValueError(
                f"every_n_epochs={every_n_epochs!r}; accepted are integers >= 1."
            )
        self.dirpath = Path(dirpath).absolute()
        self.every_n_epochs = every_n_epochs

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Check that checkpoints can be written.

        Parameters
        ----------
        estimator : MUGTransformer
        context : sklearn.callback.CallbackContext
        """
        if not hasattr(estimator, "_save_checkpoint"):
            raise TypeError(
                f"Checkpoint was set on {type(estimator).__name__}, which has no "
                "checkpoints; set it on the MUGTransformer inside."
            )
        require_form_in_file(estimator.get_params(deep=False))
        try:
            self._folder(context).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(
                f"dirpath={str(self.dirpath)!r}; a folder is accepted ({error})."
            ) from error

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext) -> None:
        """Do nothing; the framework requires this method."""

    def on_fit_task_end(self, estimator: Any, context: CallbackContext) -> None:
        """Write a checkpoint if one is due.

        Parameters
        ----------
        estimator : MUGTransformer
        context : sklearn.callback.CallbackContext
            Context of an epoch, or of the whole fit, which has no checkpoint.
        """
        n_epochs = len(estimator.history_)
        if context.task_name == EPOCH and n_epochs % self.every_n_epochs == 0:
            folder = self._folder(context.parent)
            estimator._save_checkpoint(folder / f"epoch-{n_epochs:04}.safetensors")

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Do nothing; the framework requires this method."""

    def _folder(self, fit: CallbackContext) -> Path:
        """The folder of one fit, named after its place in the tree of tasks."""
        place = []
        while fit.parent is not None:
            task = f"{fit.source_task_name or fit.task_name}-{fit.task_id}"
            # It holds a step's name, which Windows may not take as a folder's.
            place.append(re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", task))
            fit = fit.parent
        return self.dirpath.joinpath(*reversed(place))
