"""The commands of ``python -m mug_sklearn``."""
