"""Downloads from the UCR and UEA archives, only when asked for."""

from collections.abc import Sequence
from pathlib import Path

from .methods import require_aeon


def download_datasets(names: Sequence[str], folder: Path) -> None:
    """Download data sets of the archives into a folder, as pairs of ``.ts`` files.

    Parameters
    ----------
    names : sequence of str
        One or more names of classification sets in the archives.
    folder : Path
        Gets a subfolder per data set; what is already there is not downloaded again.

    Raises
    ------
    ValueError
        If the archives have no data set of some name, which is checked before any
        download, or if a download fails.
    ImportError
        If `aeon`, which downloads, is not installed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from mug_sklearn.benchmark.archive import download_datasets
    >>> download_datasets(["Coffee"], Path("data"))  # doctest: +SKIP
    """
    require_aeon([f"the download of {', '.join(names)}"])
    from aeon.datasets import load_classification
    from aeon.datasets.tsc_datasets import tsc_zenodo

    unknown = [name for name in names if name not in tsc_zenodo]
    if unknown:
        raise ValueError(
            f"no data set {', '.join(unknown)}: neither on this machine nor among the "
            f"{len(tsc_zenodo)} that aeon.datasets.tsc_datasets.tsc_zenodo names"
        )
    for name in names:
        load_classification(name, extract_path=str(folder))
