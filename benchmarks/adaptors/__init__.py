"""Adaptors on frozen vectors beside PCA and the learned rotation, on judged collections."""
