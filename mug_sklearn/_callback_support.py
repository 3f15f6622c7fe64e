"""scikit-learn's callback framework, which it calls experimental, in one place.

Nothing else in the package imports `sklearn.callback`.
"""

from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackContext, CallbackSupportMixin

__all__ = [
    "EPOCH",
    "CallbackContext",
    "CallbackSupportMixin",
    "FitTasks",
    "without_callbacks",
]

EPOCH = "epoch"

# What the framework keeps on an estimator, some of it during `fit` only.
FRAMEWORK_ATTRIBUTES = {
    "_callback_fit_ctx",
    "_parent_callback_ctx",
    "_skl_callbacks",
    "_skl_callbacks_to_teardown",
}


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
    """

    def __init__(self, estimator: Any, X: Any, y: Any, n_epochs: int) -> None:
        self.estimator = estimator
        self.data = {"X": X, "y": y}
        self.fit = estimator._init_callback_context(max_subtasks=n_epochs)
        self.epochs: dict[int, CallbackContext] = {}
        self.fit.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin_epoch(self, epoch: int) -> None:
        """Tell that the epoch of this number begins; again where it is repeated."""
        if epoch not in self.epochs:
            self.epochs[epoch] = self.fit.subcontext(task_name=EPOCH)
        self.epochs[epoch].call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end_epoch(self, epoch: int, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Tell that an epoch has ended, and whether some callback wants no more.

        Parameters
        ----------
        epoch : int
        attributes : callable
            Gives what a fit that stopped here would have set on the estimator.
        """
        return self.epochs[epoch].call_on_fit_task_end(
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
