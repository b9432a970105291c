"""Samples, targets and predictions as a person sees them: pictures, spectrograms, texts, boxes, masks."""
