"""The engine: everything that a query needs. Imports neither indexer nor ui."""

from search.privacy import switch_telemetry_off

switch_telemetry_off()
