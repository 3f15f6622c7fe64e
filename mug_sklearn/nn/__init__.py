"""The method's components in plain PyTorch, one file a component."""
