"""Work on several processes and machines.

Importing this package loads no optional dependency: `transform` imports Dask only when
it is called.
"""

from .dask_transform import transform

__all__ = ["transform"]
