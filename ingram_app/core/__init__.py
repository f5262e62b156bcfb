"""What any program would need: settings, a database, ids, a clock, errors, secrets."""
