"""The wire: bytes in, validated events out, and nothing half-read in between."""

from modelwatch.api.wire.compression import decompress
from modelwatch.api.wire.decoder import Decoder
from modelwatch.api.wire.ids import time_of_id, uuid7
from modelwatch.api.wire.limits import Limits

__all__ = ["Decoder", "Limits", "decompress", "time_of_id", "uuid7"]
