"""What a fresh installation says to the person who started it."""


def lines() -> list[str]:
    """Return what stands under "ready": for now, nothing."""
    return []
