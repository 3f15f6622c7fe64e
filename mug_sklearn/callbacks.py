"""Callbacks of scikit-learn's: progress, checkpoints, and stopping, epoch by epoch.

scikit-learn calls its framework experimental, so this is the one module that imports
it. `MUGTransformer.set_callbacks` takes any of its callbacks; an epoch of training is a
task of `fit`, and one whose ``on_fit_task_end`` returns True is the last.
"""

from collections.abc import Callable
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

from sklearn.callback import CallbackContext, CallbackSupportMixin

__all__ = ["CallbackSupportMixin", "Checkpoint", "FitTasks", "without_callbacks"]

EPOCH = "epoch"
Attributes = Callable[[], dict[str, Any]]

# What the framework keeps on an estimator, some of it during `fit` only.
FRAMEWORK_ATTRIBUTES = {
    "_callback_fit_ctx",
    "_parent_callback_ctx",
    "_skl_callbacks",
    "_skl_callbacks_to_teardown",
}


class Checkpoint:
    """Write a checkpoint every few epochs, from which an interrupted fit can go on.

    Set on a `MUGTransformer`, also one inside a pipeline or a search. A checkpoint is a
    file that `MUGTransformer.load` reads, as if `fit` had stopped there;
    `MUGTransformer.resume` goes on with the training, and ends where an uninterrupted
    fit ends.

    Parameters
    ----------
    dirpath : str or path-like
        Folder of the checkpoints, made where it is missing. Their names are
        ``epoch-0001.safetensors`` and so on; a fit inside a search or a pipeline has a
        subfolder of its own, named after its place there. Files of the same name are
        replaced.
    every_n_epochs : int, default=1
        Epochs from one checkpoint to the next. Each fits shapelets and readout, as
        the end of `fit` does.

    Raises
    ------
    ValueError
        Where `every_n_epochs` is not an integer of at least 1; at the start of `fit`,
        where the estimator's parameters have no form in a file.
    TypeError
        At the start of `fit`, where it is set on another estimator.

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

    def __init__(self, dirpath: str | PathLike[str], every_n_epochs: int = 1) -> None:
        is_whole = isinstance(every_n_epochs, Integral)
        if not is_whole or isinstance(every_n_epochs, bool) or every_n_epochs < 1:
            raise ValueError(
                f"every_n_epochs={every_n_epochs!r}; accepted are integers >= 1."
            )
        self.dirpath = Path(dirpath)
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
        random_state = estimator.random_state
        if random_state is not None and not isinstance(random_state, Integral):
            raise ValueError(
                f"random_state={random_state!r} cannot be written to a checkpoint; "
                "accepted with Checkpoint are an int and None."
            )
        self._folder(context).mkdir(parents=True, exist_ok=True)

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext) -> None:
        """Do nothing; the framework asks for it."""

    def on_fit_task_end(self, estimator: Any, context: CallbackContext) -> None:
        """Write a checkpoint if one is due.

        Parameters
        ----------
        estimator : MUGTransformer
        context : sklearn.callback.CallbackContext
            Of an epoch, or of the whole fit, which has no checkpoint.
        """
        n_epochs = len(estimator.history_)
        if context.task_name == EPOCH and n_epochs % self.every_n_epochs == 0:
            folder = self._folder(context.parent)
            estimator._save_checkpoint(folder / f"epoch-{n_epochs:04}.safetensors")

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Do nothing; the framework asks for it."""

    def _folder(self, fit: CallbackContext) -> Path:
        """The folder of one fit, whose place in the tree of tasks tells it apart."""
        place = []
        while fit.parent is not None:
            place.append(f"{fit.source_task_name or fit.task_name}-{fit.task_id}")
            fit = fit.parent
        return self.dirpath.joinpath(*reversed(place))


class FitTasks:
    """A fit and its epochs as tasks that scikit-learn's callbacks are called for.

    Parameters
    ----------
    estimator : CallbackSupportMixin
        Being fitted.
    X, y : object
        What `fit` was given.
    n_epochs : int
        Most epochs there will be.
    first_epoch : int, default=0
        Epochs that were done before.
    """

    def __init__(
        self, estimator: Any, X: Any, y: Any, n_epochs: int, first_epoch: int = 0
    ) -> None:
        self.estimator = estimator
        self.first_epoch = first_epoch
        self.data = {"X": X, "y": y}
        self.fit = estimator._init_callback_context(max_subtasks=n_epochs)
        self.epochs: list[CallbackContext] = []
        self.fit.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin_epoch(self, epoch: int) -> None:
        """Tell that an epoch begins, the first being 0; again where it is repeated."""
        if epoch - self.first_epoch == len(self.epochs):
            self.epochs.append(self.fit.subcontext(task_name=EPOCH))
        self.epochs[epoch - self.first_epoch].call_on_fit_task_begin(
            estimator=self.estimator, **self.data
        )

    def end_epoch(self, epoch: int, attributes: Attributes) -> bool:
        """Tell that an epoch has ended, and whether some callback wants no more.

        Parameters
        ----------
        epoch : int
        attributes : callable
            Gives what a fit that stopped here would have set on the estimator.
        """
        return self.epochs[epoch - self.first_epoch].call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=attributes, **self.data
        )

    def end(self) -> None:
        """Tell that the fit is done."""
        self.fit.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=dict, **self.data
        )


def without_callbacks(state: dict[str, Any]) -> dict[str, Any]:
    """An estimator's state without what the framework keeps in it."""
    return {
        name: value for name, value in state.items() if name not in FRAMEWORK_ATTRIBUTES
    }
