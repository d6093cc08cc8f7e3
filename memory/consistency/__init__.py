"""Whether a film agrees with itself: places that are seen again, against what was seen there before."""
