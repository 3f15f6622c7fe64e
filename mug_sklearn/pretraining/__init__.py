"""Pretraining without labels: views, ranks, objectives and the training loop."""
