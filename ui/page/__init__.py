"""The page: what people see of the engine in a browser. It speaks to the engine only through the API's client."""

from typing import Final

_LIGHT = {
    "primaryColor": "#0f766e", "backgroundColor": "#ffffff", "secondaryBackgroundColor": "#f4f5f5", "textColor": "#1c2023",
    "borderColor": "#dfe2e3",
}  # fmt: skip
_DARK = {
    "primaryColor": "#4fb8aa", "backgroundColor": "#15181a", "secondaryBackgroundColor": "#212528", "textColor": "#e4e7e8",
    "borderColor": "#33393c",
}  # fmt: skip

OPTIONS: Final[dict[str, object]] = {
    "browser.gatherUsageStats": False, "client.toolbarMode": "minimal", "client.showErrorDetails": "none", "server.headless": True,
    "server.fileWatcherType": "none", "theme.baseRadius": "8px",
    **{f"theme.light.{name}": value for name, value in _LIGHT.items()}, **{f"theme.dark.{name}": value for name, value in _DARK.items()},
}  # fmt: skip
"""Streamlit's settings for this page: its colours in light and in dark, and nothing that calls out of this machine."""
