"""`MUGTransformer`: parameters, fit, transform, tags and state. No mathematics."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import wraps
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ._callback_support import CallbackSupportMixin, FitTasks, without_callbacks
from ._fitting import Course
from ._inference import Inference, TokenRepresentation
from ._input_forms import (
    read_panel,
    warn_of_few_timepoints,
    warn_of_many_patches,
    warn_of_no_scale,
    warn_of_unobserved,
)
from ._panel import Panel
from ._progress import ProgressBar
from ._reservoir import Reservoir
from ._settings import (
    changed_parameters,
    check_combinations,
    network_config,
    training_plan,
)
from ._types import Float, Int, PanelLike
from ._version import __version__
from ._warnings import warn_user
from .device import (
    double_precision_device,
    repeatable_arithmetic,
    resolve_device,
    trains_in_half_precision,
    usual_modes,
)
from .nn.network import MUGConfig, MUGNetwork, build_network
from .nn.readout import Readout
from .persistence import (
    network_from_arrays,
    read_state,
    readout_from_arrays,
    readout_to_arrays,
    requiring_complete,
    to_arrays,
    write_state,
)
from .pretraining.processes import Processes
from .pretraining.random_streams import RandomStream
from .pretraining.trainer import Trainer, TrainingPlan

# What every fit leaves, whatever the input and the parameters.
FITTED_STATE = (
    "config_",
    "device_",
    "history_",
    "location_",
    "loss_curve_",
    "n_channels_in_",
    "n_features_in_",
    "n_iter_",
    "n_series_seen_",
    "n_timepoints_in_",
    "network_",
    "readout_",
    "scale_",
    "_fitted_on_table",
    "_fitted_width",
    "_n_features_out",
    "_varied",
)
# What some leave, too.
STATE_OF_SOME_FITS = ("feature_names_in_", "_interrupted", "_moments", "_reservoir")
# With these changed, `resume` trains as the interrupted call would have.
NOT_OF_TRAINING = {
    "readout",
    "embedding_dim",
    "device",
    "compile",
    "warm_start",
    "verbose",
}

_Method = TypeVar("_Method", bound=Callable[..., Any])

# Who changes which estimator at this moment. Not on the estimator, whose state is
# copied meanwhile. By process: a forked one lacks the thread that would say that it has
# ended.
_changed_by: dict[tuple[int, int], object] = {}


@contextmanager
def _alone(estimator: Any) -> Iterator[None]:
    """Refuse to change an estimator while a call, of another thread maybe, does so."""
    place, this_call = (os.getpid(), id(estimator)), object()
    try:
        # In one step, as two threads may come at once.
        if _changed_by.setdefault(place, this_call) is not this_call:
            raise RuntimeError(
                f"This {type(estimator).__name__} is being fitted, or moved to another "
                "device. Meanwhile, such as in another thread, use a clone of it."
            )
        yield
    finally:
        if _changed_by.get(place) is this_call:
            del _changed_by[place]


def _all_or_nothing(method: _Method) -> _Method:
    """Let a method take back all changes to its estimator if it raises anything.

    A caller's RandomState goes back, too, so that another try draws the same numbers.
    No two such methods change an estimator at once: each would take back, or keep, what
    the other has done by half.
    """

    @wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _alone(self):
            before = dict(self.__dict__)
            source = self.random_state
            draws = isinstance(source, np.random.RandomState)
            numbers = source.get_state() if draws else None
            records_gradients = torch.is_grad_enabled()
            try:
                return method(self, *args, **kwargs)
            except BaseException:
                # First, as an interrupt may come anywhere.
                self.__dict__.update(before)
                for name in self.__dict__.keys() - before.keys():
                    del self.__dict__[name]
                # One inside torch.no_grad itself leaves it switched off.
                torch.set_grad_enabled(records_gradients)
                if draws:
                    source.set_state(numbers)
                raise

    return cast(_Method, wrapped)


def _fit_all_or_nothing(method: _Method) -> _Method:
    """Let a method fit as scikit-learn's do, all or nothing.

    Its types stay: scikit-learn's own decorator has none, so that whatever it decorates
    would accept and return anything.
    """
    in_context: _Method = _fit_context(prefer_skip_nested_validation=True)(method)
    return _all_or_nothing(in_context)


class MUGTransformer(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Unsupervised multi-granularity embedding of time series.

    `fit` pretrains a network without labels; `transform` gives one vector per series. A
    fine-grained encoder reads timestamps (TST), a coarse-grained one reads segments
    (ShapeNet), a cross-granularity transformer ties them together, and a retrieval
    task trains them all.

    Parameters
    ----------
    granularity : {"multi", "fine", "coarse"}, default="multi"
        "multi" is the whole method. "fine" alone is TST: only its encoder exists, and
        is trained by masked-value regression. "coarse" alone is ShapeNet with random
        shapelets: only segments and shapelets exist, trained by the cluster-wise
        triplet loss.
    patch_length : int or "auto", default="auto"
        Timepoints in one patch, which is a fine token and a step of the coarse encoder;
        at most the length of the longest training series. "auto" takes 1 while the
        longest series fits into `max_tokens`, else the smallest length that fits.
    max_tokens : int, default=64
        Most patches of a training series with ``patch_length="auto"``.
    segment_lengths : tuple or list of int and float, or "auto", default="auto"
        Lengths of the segments: integers are timepoints, floats in (0, 1] fractions
        of the longest training series. "auto" is (0.2, 0.4, 0.6), as in ShapeNet.
    n_shapelets : int, default=60
        Shapelets discovered, over all segment lengths; at least one for each of
        `segment_lengths`.
    n_random_shapelets : int, default=128
        Random dilated shapelets for each dilation of the series and of its first
        differences. Rounded up to a multiple of 8; with several channels, above 64 to
        a multiple of 64. 0 leaves the bank out, as in the paper.
    fine_fusion : {"attention", "max"}, default="attention"
        How timestamp representations are merged.
    fusion : {"cross_attention", "concat"}, default="cross_attention"
        How fine and coarse tokens are tied together.
    loss : {"spearman_bce", "infonce", "triplet"}, default="spearman_bce"
        Loss of the retrieval task.
    token_retrieval_weight : float, default=1.0
        Weight of the hierarchical retrieval of the coarse encoder's features beside
        the retrieval loss, ours.
    reconstruction_weight : float, default=1.0
        Weight of TST's masked-value regression beside the retrieval loss.
    cluster_triplet_weight : float, default=0.01
        Weight of ShapeNet's cluster-wise triplet loss beside the retrieval loss.
    readout : {"combined", "robust", "cross"}, default="combined"
        What the embedding is made of. "combined" joins all granularities with the
        shapelet features. "robust", for noisy series, joins them, too, but the random
        shapelets' features and the coarse encoder count for less the more they differ
        between the even and the odd timepoints of a series (patches for the encoder);
        short events and alternations count as noise. With ``granularity="fine"`` it is
        the same as "combined". "cross", which needs ``granularity="multi"``, is the
        pooled output of the cross-granularity transformer alone, as in the paper (its
        mean and maximum over time, scaled and rotated like the combined one).
    embedding_dim : int or None, default=320
        Most principal axes in the embedding. They are fitted on at most 2,048 of the
        series, or on the sample that `partial_fit` keeps: n such series give at most
        n - 1 axes, but at least one. None gives the scaled and centred
        features themselves, whose variances differ; their mean is 1.
    d_model : int, default=32
        Width of the tokens, at least 2 and a multiple of `n_heads`.
    n_heads : int, default=2
        Attention heads.
    n_layers : int, default=1
        Transformer layers of the fine encoder.
    max_epochs : int or "auto", default="auto"
        Passes over the training series. Those that do not fill a last batch are left
        out, others in each pass. 0 leaves the network untrained. "auto" is a
        budget of 100 optimisation steps for up to 1,000 series, growing with the
        square root of their number to at most 1,000; in later calls of `partial_fit` it
        is one pass.
    batch_size : int or "auto", default="auto"
        Series in a training batch, or all series if fewer; "auto" is 8. Later calls of
        `partial_fit` may take a few less, in batches of equal size.
    learning_rate : float, default=2e-3
        Peak learning rate, after a linear warm-up and before a cosine decay.
    early_stopping : bool, default=True
        Stop when the mean unsupervised loss over the last `n_iter_no_change` epochs
        (at least 25 steps) is not lower by `tol` than over as many before.
    n_iter_no_change : int, default=10
        Epochs in the window of `early_stopping`.
    tol : float, default=1e-3
        Relative improvement that counts.
    warm_start : bool, default=False
        Continue from the weights and the standardisation of the last fit. The
        network's shape must be the same. An int as `random_state` then draws the same
        views and the same order of the series again.
    device : str, default="auto"
        "auto" takes the first of CUDA, XPU, MPS and CPU that is available; or the name
        of a torch device.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the training in `fit`. "auto" takes bfloat16 where CUDA has it,
        else float32. `transform` computes in float32.
    compile : bool, default=False
        Let `torch.compile` compile the network for training, which takes 20 to 60
        seconds. Steps are then slightly faster on a CPU, but not on a GPU. Needs a
        C++ compiler. On a CPU together with ``precision="bfloat16"`` torch's compiler
        fails on series of some lengths.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn. An int makes fits repeatable. No global
        random state is read or changed; None takes fresh entropy.
    verbose : int, default=0
        1 or more shows a progress bar.

    Attributes
    ----------
    n_features_in_ : int
        Width of a 2-D `X` seen during `fit`; for any other, its number of channels.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only where `X` is a DataFrame with string column names.
    n_channels_in_ : int
        Channels of the training series.
    n_timepoints_in_ : int
        Length of the longest training series, without trailing missing values; after
        `warm_start` or `partial_fit`, that of the first fit.
    location_ : float64 ndarray of shape (`n_channels_in_`,)
        Means by which channels are standardised.
    scale_ : float64 ndarray of shape (`n_channels_in_`,)
        Standard deviations by which channels are standardised; 1 for one that is
        constant or has no observed value.
    network_ : MUGNetwork
        The trained network, a torch module in evaluation mode.
    config_ : MUGConfig
        The shape of `network_`.
    readout_ : Readout
        Fitted map from pooled features to the embedding.
    history_ : list of dict
        For each epoch its number, its steps, the mean loss and its unweighted terms.
    loss_curve_ : list of float
        The mean loss of each epoch.
    n_iter_ : int
        Epochs done; one that was cut short counts.
    n_series_seen_ : int
        Series of the last `fit` and of the calls of `partial_fit` since.
    device_ : str
        Where the network is.

    See Also
    --------
    sklearn.svm.SVC : A classifier that takes the embedding without further scaling.

    Notes
    -----
    **Input.** `X` may be a 2-D array, DataFrame or nested list of shape (n_series,
    n_timepoints), univariate; a 3-D array of shape (n_series, n_channels,
    n_timepoints); or a list of arrays of shape (n_timepoints_i,) or (n_channels,
    n_timepoints_i), of unequal length; after a fit on one of the last two, a nested
    list is a list of series. torch tensors are taken as arrays, and a column of lists
    (pandas, polars, pyarrow) as a list of series. Each row of a DataFrame is a series,
    whatever its index. NaN, or a masked entry of a masked array, is a missing value, or
    padding at the end of a series; missing values are masked, never filled in. (Random
    shapelets see sums of channels, from which missing channels are left out.) A numpy
    memory map, or any other store with ``shape``, ``dtype`` and slices of rows (HDF5,
    zarr), in the shape of a 2-D or 3-D array, is read batch by batch.

    **Paper and ours.** The encoders, fusion, retrieval task and loss are the paper's.
    Ours are the augmented views, patches, the bank of random shapelets, the weights
    between the terms and the readout.

    Values more than 10^6 standard deviations away from the mean are clipped.

    References
    ----------
    .. [1] "Multi-Granularity Framework for Unsupervised Representation Learning of
       Time Series", arXiv:2312.07248.
    .. [2] Zerveas et al., "A Transformer-based Framework for Multivariate Time Series
       Representation Learning", KDD 2021.
    .. [3] Li et al., "ShapeNet: A Shapelet-Neural Network Approach for Multivariate
       Time Series Classification", AAAI 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from mug_sklearn import MUGTransformer
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 20)
    >>> phase = rng.uniform(0, 6, (40, 1))
    >>> X = np.sin(np.arange(50) * (0.2 + 0.2 * y[:, None]) + phase)
    >>> mug = MUGTransformer(max_epochs=2, random_state=0)
    >>> model = make_pipeline(mug, SVC()).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    network_: MUGNetwork
    readout_: Readout
    config_: MUGConfig
    n_features_in_: int
    feature_names_in_: np.ndarray
    n_channels_in_: int
    n_timepoints_in_: int
    n_series_seen_: int
    history_: list[dict[str, float]]
    _unfinished: tuple[Course, Trainer] | None
    _interrupted: dict[str, Any]

    # Where the HTML representation links to.
    _doc_link_module = "mug_sklearn"
    _doc_link_template = (
        "https://mug-sklearn.readthedocs.io/en/latest/api/generated/"
        "{estimator_module}.{estimator_name}.html"
    )

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "granularity": [StrOptions({"multi", "fine", "coarse"})],
        "patch_length": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "max_tokens": [Interval(Integral, 1, None, closed="left")],
        "segment_lengths": [tuple, list, StrOptions({"auto"})],
        "n_shapelets": [Interval(Integral, 1, None, closed="left")],
        "n_random_shapelets": [Interval(Integral, 0, None, closed="left")],
        "fine_fusion": [StrOptions({"attention", "max"})],
        "fusion": [StrOptions({"cross_attention", "concat"})],
        "loss": [StrOptions({"spearman_bce", "infonce", "triplet"})],
        "token_retrieval_weight": [Interval(Real, 0, None, closed="left")],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
        "cluster_triplet_weight": [Interval(Real, 0, None, closed="left")],
        "readout": [StrOptions({"combined", "robust", "cross"})],
        "embedding_dim": [Interval(Integral, 1, None, closed="left"), None],
        "d_model": [Interval(Integral, 2, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "compile": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        granularity: str = "multi",
        *,
        patch_length: Int | str = "auto",
        max_tokens: Int = 64,
        segment_lengths: Sequence[Int | Float] | str = "auto",
        n_shapelets: Int = 60,
        n_random_shapelets: Int = 128,
        fine_fusion: str = "attention",
        fusion: str = "cross_attention",
        loss: str = "spearman_bce",
        token_retrieval_weight: Float = 1.0,
        reconstruction_weight: Float = 1.0,
        cluster_triplet_weight: Float = 0.01,
        readout: str = "combined",
        embedding_dim: Int | None = 320,
        d_model: Int = 32,
        n_heads: Int = 2,
        n_layers: Int = 1,
        max_epochs: Int | str = "auto",
        batch_size: Int | str = "auto",
        learning_rate: Float = 2e-3,
        early_stopping: bool = True,
        n_iter_no_change: Int = 10,
        tol: Float = 1e-3,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "auto",
        compile: bool = False,
        random_state: Int | np.random.RandomState | None = None,
        verbose: Int = 0,
    ) -> None:
        self.granularity = granularity
        self.patch_length = patch_length
        self.max_tokens = max_tokens
        self.segment_lengths = segment_lengths
        self.n_shapelets = n_shapelets
        self.n_random_shapelets = n_random_shapelets
        self.fine_fusion = fine_fusion
        self.fusion = fusion
        self.loss = loss
        self.token_retrieval_weight = token_retrieval_weight
        self.reconstruction_weight = reconstruction_weight
        self.cluster_triplet_weight = cluster_triplet_weight
        self.readout = readout
        self.embedding_dim = embedding_dim
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.compile = compile
        self.random_state = random_state
        self.verbose = verbose

    @_fit_all_or_nothing
    def fit(self, X: PanelLike, y: Any = None) -> Self:
        """Pretrain the network on a panel of series, without labels.

        Parameters
        ----------
        X : array-like or list of arrays
            The training series, in any form that the class describes.
        y : None, default=None
            Ignored; present by convention.

        Returns
        -------
        self : MUGTransformer

        Raises
        ------
        TypeError
            If the input is sparse, a dictionary or an iterator.
        ValueError
            If a parameter or the input is not acceptable otherwise, or training
            diverges. Like any other exception, KeyboardInterrupt included, it leaves
            the estimator as it was.
        RuntimeError
            If the estimator is being fitted, such as in another thread.
        """
        self._fit(X, y, continued=self.warm_start and hasattr(self, "network_"))
        return self

    @_fit_all_or_nothing
    def resume(self, X: PanelLike, y: Any = None) -> Self:
        """Resume an interrupted `fit` or `partial_fit` from a checkpoint. Ours.

        On the same machine the result equals that of an uninterrupted call exactly.

        Parameters
        ----------
        X : array-like or list of arrays
            The training series of the interrupted call.
        y : None, default=None
            Ignored; present by convention.

        Returns
        -------
        self : MUGTransformer

        Raises
        ------
        TypeError, RuntimeError
            As for `fit`.
        ValueError
            If the estimator was not loaded from a checkpoint, if the panel is not that
            of the interrupted fit in the same order, or if parameters differ on which
            training depends. The estimator is left as it was.
        NotFittedError
            If nothing has been fitted or loaded.

        See Also
        --------
        mug_sklearn.callbacks.Checkpoint : Writes checkpoints.

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
        ...     mug = mug.set_callbacks(Checkpoint(folder)).fit(X)
        ...     path = Path(folder) / "epoch-0001.safetensors"
        ...     checkpoint = MUGTransformer.load(path)
        >>> checkpoint.n_iter_
        1
        >>> checkpoint.resume(X).n_iter_
        3
        """
        self._require_fitted()
        if not hasattr(self, "_interrupted"):
            raise ValueError(
                f"This {type(self).__name__} has no training to resume; load a "
                "file that mug_sklearn.callbacks.Checkpoint wrote."
            )
        self._resume(X, y)
        return self

    @_fit_all_or_nothing
    def partial_fit(self, X: PanelLike, y: Any = None) -> Self:
        """Continue training on further series, from a stream or many files. Ours.

        The first call on a new estimator is a `fit`; its standardisation of the
        channels and the thresholds of its random shapelets stay, unless a channel that
        was empty or constant begins to vary: it is standardised by that call's series,
        and the thresholds are taken anew. Later calls train on the new series alone, in
        one pass with ``max_epochs="auto"``, and keep the optimiser's state. Shapelets
        and readout are then fitted anew, on a random sample of all series that
        `partial_fit` has seen, up to 512 or 4.2 million values (but at least two
        series), which the estimator keeps. So embeddings from before a call cannot be
        compared with those after it, and they get wider until the sample holds more
        series than `embedding_dim`. The series of an earlier `fit` are not in the
        sample: if the embedding becomes narrower than it was, a warning says so.

        Parameters
        ----------
        X : array-like or list of arrays
            Series with the channels of the first call, in any form that the class
            describes. Series may be longer than those of the first call (the cost grows
            with the square of their length); a 2-D `X` has to be as wide as that of the
            first call or, if that had another form, as its longest series.
        y : None, default=None
            Ignored; present by convention.

        Returns
        -------
        self : MUGTransformer

        Raises
        ------
        TypeError, RuntimeError
            As for `fit`.
        ValueError
            As for `fit`, and if the network's shape would have to change. The estimator
            is left as it was.

        Examples
        --------
        >>> import numpy as np
        >>> from mug_sklearn import MUGTransformer
        >>> mug = MUGTransformer(max_epochs=1, random_state=0)
        >>> for seed in range(3):
        ...     X = np.random.default_rng(seed).standard_normal((20, 30))
        ...     mug = mug.partial_fit(X)
        >>> mug.n_series_seen_
        60
        """
        # scikit-learn checks the parameters on the first call only. Whether the user
        # turned checks off cannot be known here, where it turns them off itself.
        self._validate_params()
        n_before = getattr(self, "_n_features_out", 0)
        self._fit(X, y, continued=hasattr(self, "network_"), streaming=True)
        if self._n_features_out < min(n_before, self.embedding_dim or n_before):
            warn_user(
                f"The embedding has {self._n_features_out} features now, before "
                f"{n_before}: shapelets and readout are fitted on the sample of the "
                f"series that partial_fit has seen, {len(self._reservoir.series)} now: "
                "none of an earlier fit, and the fewer the longer they are."
            )
        return self

    def transform(self, X: PanelLike) -> NDArray[np.float32]:
        """Embed each series.

        Parameters
        ----------
        X : array-like or list of arrays
            Series with the channels of the training series. A 2-D `X` must be as wide
            as the `X` seen during `fit` or, if that had another form, as its longest
            series; other forms may have any length. For series much longer than those
            of `fit`, which make many more tokens, the cost grows with the square of
            their length, and a warning says so. Another names channels that were empty
            or constant in `fit` and are not now: they cannot be standardised.

        Returns
        -------
        float32 ndarray of shape (n_series, n_features_out)
            Without NaN.

        Raises
        ------
        TypeError
            If the input is sparse, a dictionary or an iterator.
        ValueError
            If the input is not acceptable otherwise, or an embedding would not be
            finite.
        NotFittedError
            If the estimator is not fitted.
        """
        fitted, panel = self._read_to_transform(X)
        return fitted._embed(panel, range(panel.n_series))

    def _embed(self, panel: Panel, rows: range) -> NDArray[np.float32]:
        """The embedding of neighbouring series of a panel."""
        inference, readout = self._inference(), self.readout_
        embedding = np.empty((len(rows), self._n_features_out), dtype=np.float32)

        def embed(values: Tensor, observed: Tensor) -> np.ndarray:
            names = readout.scalings
            blocks = inference.network.pooled_blocks(values, observed, names)
            return readout(blocks).cpu().numpy()

        for batch, embedded in inference.map_batches(embed, panel, np.array(rows)):
            finite = np.isfinite(embedded).all(axis=1)
            if not finite.all():
                raise ValueError(
                    f"The embedding of series {batch[~finite][0]} of X would not be "
                    "finite: training has left too large weights. Fit with a "
                    f"learning_rate below {self.learning_rate}."
                )
            embedding[batch - rows.start] = embedded
        return embedding

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the embedding's features: by the class, in lower case, and a number.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Not used. If `fit` saw a 2-D `X`, there must be one for each of its columns.

        Returns
        -------
        ndarray of shape (n_features_out,)
            Strings, as objects.

        Raises
        ------
        ValueError
            If there are more or fewer names than columns, or others.
        NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from mug_sklearn import MUGTransformer
        >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
        >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
        >>> mug.get_feature_names_out()[:2].tolist()
        ['mugtransformer0', 'mugtransformer1']
        """
        self._require_fitted()
        # A ColumnTransformer names the one column that holds the series.
        names = input_features if self._fitted_on_table else None
        return super().get_feature_names_out(names)

    def transform_granularities(self, X: PanelLike) -> dict[str, TokenRepresentation]:
        """Token-level representations, for users who need more than one vector.

        Parameters
        ----------
        X : array-like or list of arrays
            As for `transform`.

        Returns
        -------
        dict of str to TokenRepresentation
            "fine": timestamps or patches; "coarse": segments; "fused": timestamps
            after fine-grained fusion; "multi": timestamps after the cross-granularity
            transformer. Only those that `granularity` has. With ``fine_fusion="max"``,
            "fused" and "multi" have one token.

        Raises
        ------
        TypeError, ValueError
            As for `transform`, if the input is not acceptable.
        NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from mug_sklearn import MUGTransformer
        >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
        >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
        >>> fine = mug.transform_granularities(X)["fine"]
        >>> fine.tokens.shape, fine.spans[:2].tolist()
        ((8, 20, 32), [[0, 1], [1, 2]])
        """
        fitted, panel = self._read_to_transform(X)
        return fitted._inference().token_representations(panel)

    @_all_or_nothing
    def to(self, device: str) -> Self:
        """Move the fitted network to a device; later calls compute there.

        Parameters
        ----------
        device : str
            As the parameter `device`.

        Returns
        -------
        self : MUGTransformer

        Raises
        ------
        ValueError
            If `device` is not the name of a device, or the device is not available.
        NotFittedError
            If the estimator is not fitted.
        RuntimeError
            If the estimator is being fitted, such as in another thread.
        """
        self._require_fitted()
        # A new one: if memory runs out midway, torch leaves a module in two places.
        arrays = to_arrays(self.network_.state_dict())
        network = network_from_arrays(self.config_, arrays)
        self._place(network, resolve_device(device))
        self._place_readout(self.readout_)
        return self

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted estimator to a file that holds no code.

        It is a safetensors file, with the arrays as its tensors and everything else as
        JSON in its header.

        Parameters
        ----------
        path : str or path-like
            An existing file is replaced; a failure leaves it as it was.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a parameter is an object without a form in JSON, such as a RandomState as
            `random_state` (set an int or None first), or if `path` is a folder or a
            device.
        FileNotFoundError
            If the folder of `path` does not exist.

        See Also
        --------
        load : Read the file.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from mug_sklearn import MUGTransformer
        >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
        >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "model.safetensors"
        ...     mug.save(path)
        ...     loaded = MUGTransformer.load(path)
        >>> bool((loaded.transform(X) == mug.transform(X)).all())
        True
        """
        self._require_fitted()
        write_state(path, without_callbacks(self.__getstate__()))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read an estimator that `save` wrote. Nothing in the file is executed.

        Parameters
        ----------
        path : str or path-like
            A file that `save` or `mug_sklearn.callbacks.Checkpoint` wrote.

        Returns
        -------
        MUGTransformer
            Of the class that this is called on. If the device that it was fitted on is
            not available here, it continues on the CPU, with a warning.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not a complete file of `save`, is damaged, or lacks a parameter of
            this version.
        """
        state = read_state(path)
        # As pickle does it: a subclass's constructor may require arguments.
        estimator = cls.__new__(cls)
        missing = sorted({*cls._get_param_names(), *FITTED_STATE} - set(state))
        if missing:
            raise ValueError(
                f"{fspath(path)!r} lacks {', '.join(missing)}; it was saved by another "
                f"version of mug_sklearn than {__version__}, or another class than "
                f"{cls.__name__}."
            )
        with requiring_complete(path):
            estimator.__setstate__(state)
        return estimator

    def _fit(
        self, X: PanelLike, y: Any, continued: bool, streaming: bool = False
    ) -> None:
        device = resolve_device(self.device)
        check_combinations(self)
        panel = read_panel(self, X, reset=not continued)
        longest = self.n_timepoints_in_ if continued else panel.n_timepoints
        config = network_config(self, panel.n_channels, longest)
        if continued:
            self._check_same_shape(config)
        warn_of_unobserved(panel)
        if continued:
            warn_of_many_patches(panel, config)
        else:
            warn_of_few_timepoints(panel)
        seed = self._draw_seed()
        # From here on, half of what is fitted is that of before.
        self._unfinished = None
        if not continued:
            self.n_channels_in_ = panel.n_channels
            self.n_timepoints_in_ = panel.n_timepoints
            self.location_, self.scale_ = panel.channel_statistics
            self._varied = panel.varies
            self.history_ = []
        goes_on = streaming and continued
        self.n_series_seen_ = panel.n_series + (self.n_series_seen_ if goes_on else 0)
        typical = panel
        if streaming:
            typical, seed = self._sample_stream(panel, seed, goes_on)
        else:
            for of_a_stream in ("_reservoir", "_moments"):
                self.__dict__.pop(of_a_stream, None)
        calibrates = True
        if continued:
            calibrates = self._standardise_late(panel, typical)
            warn_of_no_scale(panel, self)
        n_series = len(panel.with_values)
        course = Course(
            panel=panel,
            typical=typical,
            location=self.location_,
            scale=self.scale_,
            config=config,
            plan=training_plan(self, n_series, seed, device, one_pass=goes_on),
            device=device,
            processes=self._processes(),
            weights=self.network_.state_dict() if continued else None,
            moments=getattr(self, "_moments", {}),
            losses={},
            calibrates=calibrates,
        )
        self.__dict__.pop("_interrupted", None)
        tasks = FitTasks(self, X, y, course.plan.n_epochs)
        self._follow(course, tasks, n_earlier=len(self.history_))

    def _standardise_late(self, panel: Panel, typical: Panel) -> bool:
        """Standardise channels that vary for the first time; whether there are any.

        They do in the panel or, if each call's series have another constant, in the
        sample of the stream.
        """
        before = self._varied
        for source in (panel, typical):
            waiting = ~self._varied & panel.differs_from(self.location_)
            if not waiting.any():
                break  # without another pass over the data
            late = waiting & source.varies
            location, scale = source.channel_statistics
            self.location_ = np.where(late, location, self.location_)
            self.scale_ = np.where(late, scale, self.scale_)
            self._varied = self._varied | late
        return not np.array_equal(self._varied, before)

    def _resume(self, X: PanelLike, y: Any) -> None:
        interrupted = self._interrupted
        self._check_same_parameters(interrupted["parameters"])
        check_combinations(self)
        device = resolve_device(self.device)
        panel = read_panel(self, X, reset=False)
        _check_same_panel(panel.summary(), interrupted["panel"])
        plan = replace(
            TrainingPlan(**interrupted["plan"]),
            compiled=self.compile,
            half_precision=trains_in_half_precision(device, self.precision),
        )
        streaming = hasattr(self, "_reservoir")
        course = Course(
            panel=panel,
            typical=Panel(self._reservoir.series) if streaming else panel,
            location=self.location_,
            scale=self.scale_,
            config=self.config_,
            plan=plan,
            device=device,
            processes=self._processes(),
            weights=self.network_.state_dict(),
            moments=interrupted["optimizer"],
            losses=interrupted["losses"],
            calibrates=interrupted["calibrates"],
        )
        self._unfinished = None
        del self._interrupted
        n_done = -(-len(interrupted["losses"]["loss"]) // plan.steps_per_epoch)
        tasks = FitTasks(self, X, y, plan.n_epochs - n_done)
        self._follow(course, tasks, n_earlier=len(self.history_) - n_done)

    def _follow(self, course: Course, tasks: FitTasks, n_earlier: int) -> None:
        """Train, after `n_earlier` epochs of earlier fits; set what the fit leaves."""

        def end_epoch(trainer: Trainer, epoch: int) -> bool:
            number = n_earlier + epoch
            summary = {"epoch": number + 1} | trainer.epoch_summary(epoch)
            # Cut: where memory ran out, the epochs are repeated.
            self.history_ = [*self.history_[:number], summary]
            self._unfinished = course, trainer
            return tasks.end_epoch(epoch, lambda: self._stopped().__dict__)

        with (
            repeatable_arithmetic(),
            usual_modes(course.device, training=True),
            ProgressBar(
                total=course.plan.n_steps,
                desc=type(self).__name__,
                unit="step",
                shown=bool(self.verbose),
            ) as progress,
        ):
            trainer = course.pretrain(tasks.begin_epoch, end_epoch, progress)
            self._conclude(course, trainer, trainer.network)
        del self._unfinished
        tasks.end()

    def _conclude(self, course: Course, trainer: Trainer, network: MUGNetwork) -> None:
        """Set what a fit leaves whose training has ended with `network`."""
        course.complete(network)
        self._place(network.eval(), course.device)
        self.config_ = course.config
        most = None if self.embedding_dim is None else int(self.embedding_dim)
        self.readout_ = course.fit_readout(self._inference(), self.readout, most)
        self.loss_curve_ = [epoch["loss"] for epoch in self.history_]
        self.n_iter_ = len(self.history_)
        self._n_features_out = self.readout_.width
        if hasattr(self, "_reservoir"):
            self._moments = to_arrays(trainer.optimizer.moments)

    def _stopped(self) -> Self:
        """A copy, as a fit would leave the estimator that stops at this epoch."""
        assert self._unfinished is not None
        course, trainer = self._unfinished
        network = build_network(course.config)
        network.load_state_dict(trainer.network.state_dict())
        stopped = self._as_it_is()
        del stopped._unfinished
        stopped._conclude(course, trainer, network.to(course.device))
        return stopped

    def _save_checkpoint(self, path: str | PathLike[str]) -> None:
        """Write what `load` reads as if `fit` had stopped here, and `resume` needs."""
        assert self._unfinished is not None
        course, trainer = self._unfinished
        stopped = self._stopped()
        stopped._interrupted = {
            **course.training_state(trainer),
            "parameters": self._training_parameters(),
        }
        stopped.save(path)

    def _check_same_shape(self, config: MUGConfig) -> None:
        if config != self.config_:
            changed = changed_parameters(config, self.config_)
            raise ValueError(
                "To continue from an earlier fit, the network's shape must be the "
                f"same, but these differ: {changed}. Set them back, or fit a new "
                "estimator."
            )

    def _training_parameters(self) -> dict[str, Any]:
        """The parameters that decide how a fit trains, and what."""
        return {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in NOT_OF_TRAINING
        }

    def _check_same_parameters(self, before: dict[str, Any]) -> None:
        now = self._training_parameters()
        changed = "; ".join(
            f"{name}={now[name]!r}, before {value!r}"
            for name, value in before.items()
            if now[name] != value
        )
        if changed:
            raise ValueError(
                "resume needs the parameters of the interrupted call, but these "
                f"differ: {changed}. Set them back."
            )

    def _place(self, network: MUGNetwork, device: torch.device) -> None:
        self.network_, self.device_ = network.to(device), str(device)

    def _place_readout(self, readout: Readout) -> None:
        self.readout_ = readout.to(double_precision_device(self._place_of_network()))

    def _as_it_is(self) -> Self:
        """A shallow copy, made in one step where a fit takes several to change it."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def _read_to_transform(self, X: Any) -> tuple[Self, Panel]:
        """Validate `X`, and warn of what is probably a mistake or takes long.

        With the panel comes the estimator as it is now, which does not change if
        another thread fits this one anew before all batches are computed.
        """
        fitted = self._as_it_is()
        fitted._require_fitted()
        panel = read_panel(fitted, X, reset=False)
        warn_of_unobserved(panel)
        warn_of_no_scale(panel, fitted)
        warn_of_many_patches(panel, fitted.config_)
        return fitted, panel

    def _require_fitted(self) -> None:
        if "_unfinished" in vars(self):
            raise NotFittedError(
                f"This {type(self).__name__} is being fitted. Meanwhile, such as in "
                "another thread, use a copy.deepcopy of an earlier fit."
            )
        check_is_fitted(self)

    def _inference(self) -> Inference:
        return Inference(
            self.network_,
            self.location_,
            self.scale_,
            self._place_of_network(),
        )

    def _place_of_network(self) -> torch.device:
        """Device with its number, while "cuda" alone is whichever is current."""
        return next(self.network_.parameters()).device

    def _sample_stream(
        self, panel: Panel, seed: int, goes_on: bool
    ) -> tuple[Panel, int]:
        """A sample of the whole stream, and a seed of this call's own."""
        # A plain fit before the stream has left no sample.
        earlier = getattr(self, "_reservoir", Reservoir.empty())
        rng = RandomStream.RESERVOIR.generator(seed, earlier.n_seen)
        self._reservoir = earlier.extended(panel, rng)
        if goes_on:
            seed = int(rng.integers(2**31 - 1))
        return Panel(self._reservoir.series), seed

    def _draw_seed(self) -> int:
        if self.random_state is None:
            return int(np.random.default_rng().integers(2**31))
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _processes(self) -> Processes:
        """The processes that train together; never more because of the environment."""
        return Processes()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_unfinished" in state:  # half of it may be of the fit before
            for name in ("_unfinished", *FITTED_STATE, *STATE_OF_SOME_FITS):
                state.pop(name, None)
        if "network_" in state:
            state["network_"] = to_arrays(state["network_"].state_dict())
            state["readout_"] = readout_to_arrays(state["readout_"])
        if "_reservoir" in state:
            state["_reservoir"] = asdict(state["_reservoir"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" not in state:
            return
        try:
            device = resolve_device(self.device_)
        except ValueError:
            warn_user(
                f"The estimator was fitted on device {self.device_!r}, which is not "
                "available here; it continues on the CPU."
            )
            device = torch.device("cpu")
        network = network_from_arrays(self.config_, state["network_"])
        self._place(network, device)
        self._place_readout(readout_from_arrays(state["readout_"]))
        if "_reservoir" in state:
            self._reservoir = Reservoir(**state["_reservoir"])

    def __sklearn_is_fitted__(self) -> bool:
        # Not while a callback looks: what it sees is half of one fit, half of another.
        return "network_" in vars(self) and "_unfinished" not in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _check_same_panel(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse to resume a training on another panel."""
    for name, value in expected.items():
        if found[name] == value:
            continue
        difference = f"its {name} is {found[name]}, not {value}"
        if name == "digest":
            difference = "it has other values, or the same in another order"
        raise ValueError(f"X is not the panel of the interrupted fit: {difference}.")
