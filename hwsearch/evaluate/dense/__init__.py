"""Judges of dense tasks: small heads on feature maps find boxes, or name what is where."""
