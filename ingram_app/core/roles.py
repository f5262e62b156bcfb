"""The two roles of PostgreSQL that the platform works as. Neither owns a table or is a superuser.

Only in the PostgreSQL that comes with the house does one of them log in, the application's.
"""

ROLE = "ingram_app"
"""What every connection of the application works as; row level security holds it."""

DISPATCHER = "ingram_engine"
"""Sees of every project what waits to be taken up or looked after, and not a word of it."""
