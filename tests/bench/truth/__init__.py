"""What a person sees and hears is what is searched: generated files whose content is known, indexed by the real program and judged from outside.

A frame tells its own number, so that a moment is right when Chromium shows the same frame there; a picture is right when it is what
Chromium draws; a sound is right when the tone of every track and channel can be heard. No expectation is taken from Sensorium.
"""
