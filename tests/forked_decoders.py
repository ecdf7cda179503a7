"""Imported by the process that those of the tests are forked from (``tests.processes``): their decoders are forked as well."""

from tests import decoders

decoders.fork()
