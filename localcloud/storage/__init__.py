"""Blob, queue and table storage: Microsoft's Azurite, as a part of the local cloud."""
