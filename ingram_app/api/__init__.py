"""The API: programs come in here, under /v1."""
