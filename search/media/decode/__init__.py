"""Decoding: the content of pictures, sound, film and text files, cut into segments. It runs in the sandbox alone."""
