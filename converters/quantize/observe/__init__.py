"""How activations spread over calibration data: fetched in bounded memory, kept as histograms; or read from a source that is quantized already."""
