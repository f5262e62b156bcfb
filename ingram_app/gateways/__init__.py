"""The outside world, each behind the fewest verbs."""
