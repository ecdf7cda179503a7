"""The commands: their options, what they run, and what they print. What they run is imported only when they run."""
