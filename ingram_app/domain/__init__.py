"""The nouns, in reading order: each may lean on the ones before it, never on the ones after."""
