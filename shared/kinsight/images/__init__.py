"""Decoding and preprocessing of pictures, for the extractor and for training."""
