"""What the heads share: how they are recognised, and what decoding gives."""
