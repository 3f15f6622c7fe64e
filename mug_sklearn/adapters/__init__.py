"""Adapters of scikit-learn estimators of panels to other libraries, by name."""
