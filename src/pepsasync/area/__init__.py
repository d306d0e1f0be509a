"""Areas of interest: from what users write to valid geometry, and from that to what archives accept.

Everything here needs shapely: import it only where an area is used, start-up time is a feature.
"""
