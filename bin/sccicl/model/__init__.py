"""The method on tensors: encoder, views, losses, K-means, pseudo-labels, training loop."""
