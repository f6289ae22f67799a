"""TFLite files as they lie on the disk, without onnx, so that a board can look into the file that it runs."""
