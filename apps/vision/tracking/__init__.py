"""Detections of successive frames joined into tracks: ByteTrack's two passes, in numpy, for all tracks at once."""
