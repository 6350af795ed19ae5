"""Training PyTorch models."""
