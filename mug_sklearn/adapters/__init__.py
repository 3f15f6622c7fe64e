"""Adapters of scikit-learn estimators of panels, one module per library."""
