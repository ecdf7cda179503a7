"""Calibrate a space at the end of a run, if the archive has many more labels than at its last calibration."""

from __future__ import annotations

from dataclasses import replace

from search.encoders import Encoder
from search.errors import InputError, SensoriumError
from search.query import Engine
from search.query import calibration as kept
from search.query.calibrate import calibrate, due
from search.settings import Settings
from search.types import Space


def recalibrate(settings: Settings, space: Space, encoder: Encoder) -> str | None:
    """Calibrate a space of the archive if it is due, and tell the result in a sentence; None if there was nothing to do.

    A space with a built-in calibration is left alone: its scale would stay, and measuring its errors would make the run longer.
    Nothing is saved before it is finished.
    """
    if kept.brought(space, encoder) is not None:
        return None
    try:
        with Engine(replace(settings, space=space.name), load=lambda _: encoder) as engine:
            searcher = engine.searcher(space.name)
            if not (told := due(searcher)):
                return None
            kept.save(settings.home, searcher.space, calibrate(searcher))
    except InputError:  # labels of which none is a question with a known answer
        return None
    except (SensoriumError, OSError) as error:
        return f"The space {space.name} could not be calibrated: {error}"
    return f"The space {space.name} was calibrated by {told:,} labels of the archive."
