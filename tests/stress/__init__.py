"""Stress: a whole installation at work while its processes are killed and its PostgreSQL is stopped, and a count.

python -m tests.stress --seconds 60 --seed 7 --servers 2 --engines 1 --customers 8
python -m tests.stress --seconds 120 --outage 60
"""
