"""The nested objective on images and plain features: see `__main__.py`."""
