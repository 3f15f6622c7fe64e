"""Work on several processes and machines.

Importing this package loads nothing that is optional: `transform` asks for Dask only
when it is called.
"""

from .dask_transform import transform

__all__ = ["transform"]
