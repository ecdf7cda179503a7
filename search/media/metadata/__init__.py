"""Metadata: what is written in files besides their content, and in the files beside them."""
