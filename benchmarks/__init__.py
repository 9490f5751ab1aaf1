"""Commands that measure; none of them is a test. `make bench` runs the quick ones."""
