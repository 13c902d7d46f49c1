"""A scenario come to life: radios, houses with the real node code, people, faults, and what is noted of it all.

`live` puts it together. Everything random follows from the seed, so the same seed gives the same run.
"""
