"""Harnesses of loss: kills, power cuts, failing and full disks. See `lab.py` for what they share."""
