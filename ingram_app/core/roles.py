"""The two roles of PostgreSQL that the platform works as. Neither logs in, owns a table or is a superuser."""

ROLE = "ingram_app"
"""What every connection of the application works as; row level security holds it."""

DISPATCHER = "ingram_engine"
"""Sees of every project which runs wait or are abandoned, and not a word of them."""
