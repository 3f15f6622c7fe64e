"""Pretraining without labels: views, objectives and the training loop."""
