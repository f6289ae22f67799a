"""Sources that come quantized: their own integers taken apart, kept, and laid on again."""
