"""Telemetry of the libraries that Sensorium loads is switched off, before any of them is imported."""

from __future__ import annotations

import os
from typing import Final

SWITCHES: Final = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime: a device id under the user's cache, and events for its maker
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
}
"""Variable -> value that switches telemetry off. Libraries read them when they are loaded, and child processes inherit them."""


def switch_telemetry_off() -> None:
    """Set the variables for this process and its children, whatever they were before."""
    os.environ.update(SWITCHES)
